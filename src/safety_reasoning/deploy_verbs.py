"""The verbs of deployment: `export nemo`, `export vllm` and `verify nemo`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safety_reasoning.errors import UsageError

if TYPE_CHECKING:
    from safety_reasoning.deploy.lengths import Allowance
    from safety_reasoning.deploy.nemo_config import Wanted
    from safety_reasoning.deploy.nemo_live import Relied

app = typer.Typer()
export_app = typer.Typer(no_args_is_help=True, help="Write what serves a guard, and what puts it behind rails.")
verify_app = typer.Typer(no_args_is_help=True, help="Try what was exported.")
app.add_typer(export_app, name="export")
app.add_typer(verify_app, name="verify")

GuardOption = Annotated[str, typer.Option("--guard", help="A guard's folder, or the name of a model.", metavar="GUARD")]
OutOption = Annotated[Path, typer.Option("--out", help="The folder to write.", metavar="DIR")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@export_app.command("nemo")
def export_nemo(
    guard: GuardOption,
    url: Annotated[str, typer.Option(help="Where it is served: http://HOST:PORT/v1.")],
    out: OutOption,
    reasoning: Annotated[
        bool | None, typer.Option("--reasoning/--no-reasoning", help="Whether it reasons; if not given, if it can.")
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="A run of the guard: how many tokens its answers have.", metavar="RUN")
    ] = None,
    quantile: Annotated[float, typer.Option(min=0.5, max=1, help="Of those answers, so many have room.")] = 0.999,
    margin: Annotated[float, typer.Option(min=0, max=10, help="And so much more room.")] = 0.25,
    topic: Annotated[
        bool | None, typer.Option("--topic/--no-topic", help="Topic control; if not given, with --instruction.")
    ] = None,
    instruction: Annotated[
        Path | None, typer.Option(help="What the assistant may be asked about, for topic control.", metavar="FILE")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="A policy in place of the taxonomy.", metavar="FILE")] = None,
    constrain: Annotated[
        bool, typer.Option("--constrain/--no-constrain", help="Hold answers to a pattern (`structured_outputs`, vLLM).")
    ] = True,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", help="The variable that holds the server's key.", metavar="NAME")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a NeMo Guardrails configuration: content safety in and out, topic control by --instruction."""
    from safety_reasoning.deploy import nemo_export
    from safety_reasoning.deploy.guard import open_guard_folder
    from safety_reasoning.deploy.nemo_config import Wanted, server_url, variable
    from safety_reasoning.deploy.nemo_prompts import rail_prompts

    found = open_guard_folder(guard, reasoning=reasoning)
    thinks = found.mode != "non_reasoning" if reasoning is None else reasoning
    rules = None if policy is None else _text(policy)
    wanted = Wanted(
        guard=found,
        url=server_url(url),
        reasoning=thinks,
        constrain=constrain,
        api_key_env=None if api_key_env is None else variable(api_key_env),
        allowance=_allowance(run or [], quantile, margin, thinks),
        prompts=rail_prompts(found, reasoning=thinks, policy=rules, instruction=_topics(topic, instruction)),
    )
    stated = nemo_export.export_nemo(wanted, out)
    print(json.dumps({"out": str(out)} | stated) if as_json else _exported(wanted, out))


def _exported(wanted: "Wanted", out: Path) -> str:
    rails = "content safety in and out" + ("" if wanted.prompts.topic is None else ", topic control")
    lines = [
        f"{out}: {rails}, for {wanted.guard.name}, {'reasoning' if wanted.reasoning else 'without reasoning'}",
        f"max_tokens {wanted.allowance.reason}",
        f"try it with:\n  safety-reasoning verify nemo {out}",
    ]
    if not wanted.constrain:
        lines[2:2] = ["answers are not held to a pattern: all that `verify nemo` lists as failing open can come"]
    return "\n".join(lines)


def _topics(topic: bool | None, instruction: Path | None) -> str | None:
    """The instruction that topic control judges by; None for no topic control."""
    if topic and instruction is None:
        raise UsageError(
            "topic control needs an instruction",
            why="it says what the assistant may be asked about",
            fix="give --instruction FILE, or --no-topic",
        )
    return None if instruction is None or topic is False else _text(instruction)


def _allowance(runs: list[Path], quantile: float, margin: float, thinks: bool) -> "Allowance":
    from safety_reasoning.deploy.lengths import default_allowance, measured_allowance

    if not runs:
        return default_allowance(reasoning=thinks)
    return measured_allowance(runs, reasoning=thinks, quantile=quantile, margin=margin)


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read", why=str(error), fix="give a text in UTF-8") from error
    if not text:
        raise UsageError(f"{path} is empty", fix="write the text into it")
    return text


@export_app.command("vllm")
def export_vllm(
    guard: GuardOption,
    out: OutOption,
    reasoning_parser: Annotated[
        str, typer.Option(help="vLLM's name of one, none, or auto: by how the guard was trained.", metavar="NAME")
    ] = "auto",
    max_model_len: Annotated[
        int | None, typer.Option(min=1, help="Tokens of prompt and answer; the model's own, if not given.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    as_json: JsonOption = False,
) -> None:
    """Write the command that serves a guard with vLLM, as a script and as a list of arguments."""
    import shlex

    from safety_reasoning.deploy import vllm_export
    from safety_reasoning.deploy.guard import open_guard_folder
    from safety_reasoning.deploy.vllm_command import Serving
    from safety_reasoning.deploy.vllm_command import reasoning_parser as chosen

    found = open_guard_folder(guard, reasoning=None)
    serving = Serving(
        guard=found,
        host=host,
        port=port,
        reasoning_parser=chosen(found, reasoning_parser),
        max_model_len=max_model_len,
    )
    arguments = vllm_export.export_vllm(serving, out)
    if as_json:
        print(json.dumps({"out": str(out), "arguments": arguments}))
        return
    print(f"{out / vllm_export.SCRIPT}:\n  {shlex.join(arguments)}")


@verify_app.command("nemo")
def verify_nemo(
    folder: Annotated[Path, typer.Argument(help="A configuration that `export nemo` wrote.", metavar="DIR")],
    url: Annotated[
        str | None, typer.Option(help="Also ask this server whether it does what the configuration relies on.")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(help="The interpreter of an environment with nemoguardrails.", metavar="PYTHON")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send hostile outputs through the real NeMo Guardrails; exit 1 if any passes that is not known to."""
    from safety_reasoning.deploy import nemo_verify
    from safety_reasoning.deploy.nemo_process import nemo_python
    from safety_reasoning.deploy.nemo_report import as_json as document
    from safety_reasoning.deploy.nemo_report import as_text

    found = nemo_verify.verify_nemo(folder, nemo_python(python))
    relied = [] if url is None else _relied(folder, url)
    if as_json:
        live = [{"what": one.what, "holds": one.holds, "got": one.got} for one in relied]
        print(json.dumps(document(found) | {"server": live}))
    else:
        for one in relied:
            print(f"{'holds' if one.holds else 'DOES NOT HOLD'}: {one.what} ({one.got})")
        print(as_text(found))
    if not found.good or not all(one.holds for one in relied):
        raise typer.Exit(1)


def _relied(folder: Path, url: str) -> list["Relied"]:
    from safety_reasoning.deploy.nemo_folder import open_nemo_folder
    from safety_reasoning.deploy.nemo_live import verify_server

    return verify_server(open_nemo_folder(folder), url)
