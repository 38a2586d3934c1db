"""The verb `classify`: what a guard makes of a text, or of a file of them, by a policy of the user's own.

Exit codes: 0 unharmful; 1 harmful; 3 no verdict; 2 and 130 as everywhere. For a file: 0, or 3 if a line has no verdict.
"""

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from safety_reasoning.eval.runs.classify import Classified, Judge
    from safety_reasoning.eval.runs.recipe import GuardOnly

app = typer.Typer()

_HARMFUL, _NO_VERDICT = 1, 3

TextArgument = Annotated[str | None, typer.Argument(help="The prompt; - reads it from stdin.", metavar="[TEXT]")]
ResponseOption = Annotated[str | None, typer.Option(help="A response to the prompt, which is then what is judged.")]
PolicyOption = Annotated[Path | None, typer.Option(help="A text file with the policy that is judged by.")]
FileOption = Annotated[Path | None, typer.Option(help="Texts: .jsonl or .csv with prompt[, response], or .txt.")]
OutOption = Annotated[Path | None, typer.Option(help="With --file: the JSON Lines that are written.")]
RecipeOption = Annotated[Path | None, typer.Option(help="A recipe of `eval run`, for its [guard] and [engine].")]
GuardOption = Annotated[str | None, typer.Option(help="The guard, as docs/guards.md names it. [default: ours]")]
SettingOption = Annotated[
    list[str] | None, typer.Option("--setting", help="A setting of the guard, NAME=VALUE.", metavar="NAME=VALUE")
]
EngineOption = Annotated[str | None, typer.Option(help="openai, vllm, transformers or embedded.")]
ModelOption = Annotated[str | None, typer.Option(help="Its model: a name, or a folder for transformers and vllm.")]
UrlOption = Annotated[list[str] | None, typer.Option("--base-url", help="openai: the server, up to and with /v1.")]
KeyOption = Annotated[str | None, typer.Option(help="openai: the environment variable that holds the key.")]
TokensOption = Annotated[int, typer.Option(min=1, help="The limit of a reply, reasoning included.")]
LogprobsOption = Annotated[int, typer.Option(min=0, max=20, help="Alternatives asked for; 0: no probability.")]
RetryOption = Annotated[
    list[str] | None, typer.Option("--retry", help="With --file: ask again for replies that ended so.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@app.command()
def classify(
    text: TextArgument = None,
    response: ResponseOption = None,
    policy: PolicyOption = None,
    file: FileOption = None,
    out: OutOption = None,
    recipe: RecipeOption = None,
    guard: GuardOption = None,
    setting: SettingOption = None,
    engine: EngineOption = None,
    model: ModelOption = None,
    base_url: UrlOption = None,
    api_key_env: KeyOption = None,
    max_tokens: TokensOption = 4096,
    logprobs: LogprobsOption = 5,
    retry: RetryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a text, or every text of a file, with any guard; exit 0 unharmful, 1 harmful, 3 no verdict."""
    from safety_reasoning.eval.runs.recipe import AskRecipe

    _check_what(text, response, file, out)
    named = {"engine": engine, "model": model, "base_urls": base_url, "api_key_env": api_key_env}
    asked = _with_options(_recipe(recipe), guard, setting, policy, {k: v for k, v in named.items() if v is not None})
    judge = _judge(asked, AskRecipe(preset="deploy", max_tokens=max_tokens, logprobs=logprobs))
    if file is not None and out is not None:
        _classify_file(judge, file, out, retry or (), as_json=as_json)
    else:
        _classify_text(judge, sys.stdin.read() if text == "-" else text or "", response, as_json=as_json)


def _check_what(text: str | None, response: str | None, file: Path | None, out: Path | None) -> None:
    from safety_reasoning.errors import UsageError

    if (text is None) == (file is None):
        raise UsageError("give one text, or a file with --file", fix="safety-reasoning classify --help shows both")
    if (file is None) != (out is None):
        raise UsageError("--file and --out belong together", fix="name both: the texts, and what is written")
    if file is not None and out is not None and file.resolve() == out.resolve():
        raise UsageError(f"--file and --out are one file, {file}", fix="name another one to write")
    if file is not None and response is not None:
        raise UsageError("--response belongs to a single text", fix="put responses into the file")


def _recipe(path: Path | None) -> "GuardOnly":
    from safety_reasoning.eval.runs.recipe import GuardOnly, anchored_engine, anchored_guard
    from safety_reasoning.recipe_file import checked, read_toml

    if path is None:
        return GuardOnly()
    read = checked(GuardOnly, read_toml(path), path)
    engine = read.engine and anchored_engine(read.engine, path.parent)
    return GuardOnly(guard=anchored_guard(read.guard, path.parent), engine=engine)


def _with_options(
    recipe: "GuardOnly", guard: str | None, setting: list[str] | None, policy: Path | None, engine: dict[str, Any]
) -> "GuardOnly":
    """The recipe with what the command line says above it."""
    from safety_reasoning.eval.runs.recipe import GuardEngine, GuardOnly, GuardRecipe, anchored_engine
    from safety_reasoning.recipe_file import checked

    other = guard is not None and guard != recipe.guard.adapter
    before = {} if other else recipe.guard.settings
    chosen: dict[str, Any] = {"settings": {**before, **dict(map(_setting, setting or ()))}}
    chosen |= {} if guard is None else {"adapter": guard}
    chosen |= {} if policy is None else {"policy": str(policy)}
    served = recipe.engine
    if engine:
        fields = {} if recipe.engine is None else recipe.engine.model_dump(exclude_unset=True)
        given = fields | engine
        if given.get("model") and Path(given["model"]).is_dir():
            given["model"] = str(Path(given["model"]).resolve())
        served = anchored_engine(checked(GuardEngine, given, Path("the command line"), table="engine"), Path.cwd())
    return GuardOnly(guard=GuardRecipe(**recipe.guard.model_dump() | chosen), engine=served)


def _setting(said: str) -> tuple[str, Any]:
    """(name, value): TOML's values, and texts without quotes."""
    from safety_reasoning.errors import UsageError

    name, equals, value = said.partition("=")
    if not equals or not name:
        raise UsageError(f"--setting {said!r} is not NAME=VALUE", fix='write it so: --setting mode="off"')
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def _judge(asked: "GuardOnly", ask: Any) -> "Judge":
    from safety_reasoning.eval.runs.classify import Judge
    from safety_reasoning.eval.runs.open import open_asked

    return Judge(opened=open_asked(asked.guard, asked.engine, ask), engine=asked.engine)


def _classify_text(judge: "Judge", text: str, response: str | None, *, as_json: bool) -> None:
    from safety_reasoning.eval.runs.classify import as_json as document
    from safety_reasoning.eval.runs.classify import classify_text

    found = classify_text(judge, text, response)
    if as_json:
        print(json.dumps(document(found), ensure_ascii=True))
    else:
        _show(found)
    raise typer.Exit({True: _HARMFUL, False: 0, None: _NO_VERDICT}[found.harmful])


def _show(found: "Classified") -> None:
    from safety_reasoning.eval.runs.visible import visible

    why = "" if found.harmful is not None else f" ({found.parse})"
    print(f"verdict: {found.verdict}{why}")
    if found.probability is not None:
        print(f"probability of harm: {found.probability:.3f}")
    if found.refusal is not None:
        print(f"the response refuses: {'yes' if found.refusal else 'no'}")
    if found.trace:
        print(f"trace: {visible(found.trace)}")
    if found.harmful is None:
        print(f"answer: {visible(found.answer)}")


def _classify_file(judge: "Judge", file: Path, out: Path, retry: Sequence[str], *, as_json: bool) -> None:
    from safety_reasoning.display import Display
    from safety_reasoning.eval.runs.classify import UNREADABLE, classify_file
    from safety_reasoning.eval.runs.retry import statuses

    again = statuses(retry)
    with Display() as display:
        outcomes = classify_file(judge, file, out, display, again)
    verdicts = Counter(UNREADABLE if one is None else one.verdict for one in outcomes)
    without = Counter(one.parse for one in outcomes if one is not None and one.harmful is None)
    if as_json:
        counts = {"verdicts": dict(sorted(verdicts.items())), "without": dict(sorted(without.items()))}
        print(json.dumps({"out": str(out), **counts}, ensure_ascii=True))
    else:
        print(f"{len(outcomes)} texts, in {out}")
        for word, count in sorted(verdicts.items()):
            print(f"  {count} × {word}")
        for parse, count in sorted(without.items()):
            print(f"  none because of {parse}: {count}")
    if verdicts["none"] or verdicts[UNREADABLE]:
        raise typer.Exit(_NO_VERDICT)
