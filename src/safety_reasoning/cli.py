"""The command `safety-reasoning`, a verb a stage: parse, call the library, show, exit.

Exit codes: 0 done; 1 what was looked at is wrong (violations, an open rail, a harmful text); 2 something the user can
mend; 3 no verdict (`classify`); 130 stopped, run again.
Data goes to stdout, everything else to stderr. Heavy imports stand inside the verbs.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from safety_reasoning import (
    classify_verbs,
    deploy_verbs,
    eval_verbs,
    guard_report_verbs,
    hub_verbs,
    review_verbs,
    traces_verbs,
    train_verbs,
    version_verbs,
)
from safety_reasoning.errors import Stopped, UsageError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build, validate and publish reasoning datasets for LLM guardrails.",
)
app.add_typer(traces_verbs.app, name="traces")
app.add_typer(review_verbs.app)
app.add_typer(version_verbs.app)
app.add_typer(hub_verbs.app)
app.add_typer(train_verbs.app, name="train")
app.add_typer(eval_verbs.app, name="eval")
app.add_typer(guard_report_verbs.app)
app.add_typer(classify_verbs.app)
app.add_typer(deploy_verbs.app)

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file.", metavar="RECIPE")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first row that cannot be used.")]


def _share(of: str) -> Any:
    """An option that is a share, in [0, 1]."""
    return typer.Option(min=0, max=1, help=f"Share of {of}.")


def main() -> None:
    """Run the command; a person's errors are shown without a traceback."""
    try:
        app()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Stopped as stop:
        print(stop, file=sys.stderr)
        sys.exit(130)
    except KeyboardInterrupt:
        print("stopped; run again to go on", file=sys.stderr)
        sys.exit(130)


@app.command()
def build(recipe: RecipeArgument, strict: StrictOption = False, as_json: JsonOption = False) -> None:
    """Build everything that a recipe names, going on where an earlier run stopped."""
    _build(recipe, strict=strict, ask=True, as_json=as_json)


@app.command()
def release(recipe: RecipeArgument, strict: StrictOption = False, as_json: JsonOption = False) -> None:
    """Write the release again from the replies in the store, asking no teacher."""
    _build(recipe, strict=strict, ask=False, as_json=as_json)


def _build(path: Path, *, strict: bool, ask: bool, as_json: bool) -> None:
    from safety_reasoning.builders.build import build as run
    from safety_reasoning.builders.load_back import load_back
    from safety_reasoning.builders.recipe import load_recipe
    from safety_reasoning.display import Display

    recipe = load_recipe(path)
    with Display() as display:
        built = run(recipe, display, strict=strict, ask=ask)
        display.stage("loading it back")
        loaded = load_back(built.out, built.manifest)
    if as_json:
        print(json.dumps({"out": str(built.out), "manifest": built.manifest}, ensure_ascii=False))
    else:
        _show_release(built.out, built.manifest, loaded)


def _show_release(out: Path, manifest: dict[str, Any], loaded: dict[str, int]) -> None:
    place = out.relative_to(Path.cwd()) if out.is_relative_to(Path.cwd()) else out
    print(f"{manifest['name']} {manifest['version']}, in {place}")
    for name, config in manifest["configs"].items():
        traces = ", ".join(
            f"{teacher}: {t['full_words']['traces']} full and {t['efficient_words']['traces']} efficient traces"
            for teacher, t in config["statistics"]["teachers"].items()
        )
        print(f"  {name}: {config['records']} records ({loaded[name]} loaded back); {traces}")
    for name in manifest["absent_files"]:
        print(f"  not there, not read: {name}")
    for item in manifest["left_out"]:
        print(f"  left out of {item['config']}: {item['rows']} × {item['reason']}")
    for item in manifest["dropped_traces"]:
        print(f"  traces dropped: {item['traces']} × {item['reason']} ({item['teacher']}, {item['step']})")
    print("load it with:")
    print(f'  from datasets import load_dataset; records = load_dataset("{place}", split="train")')


@app.command()
def validate(
    path: Annotated[str, typer.Argument(help="A JSONL or Parquet file, a folder, or hf://datasets/OWNER/NAME.")],
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many violations.")] = 100,
    published: Annotated[
        bool,
        typer.Option("--published", help="Expect the column names of the published files, not the card's."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold records against their schemas and rules; exit 1 if anything is wrong."""
    from safety_reasoning.schemas.folder import validate as run

    report = run(path, limit=limit, naming="published" if published else "card")
    if as_json:
        import dataclasses

        print(json.dumps(dataclasses.asdict(report), ensure_ascii=True))
    else:
        for violation in report.violations:
            print(violation)
        shown = len(report.violations)
        more = f" (the first {shown} are shown; --limit shows more)" if shown < report.total else ""
        print(f"{sum(report.records.values())} records in {len(report.records)} files, {report.total} violations{more}")
    if report.total:
        raise typer.Exit(1)


@app.command()
def doctor(
    recipe: Annotated[Path | None, typer.Argument(help="Also say what this recipe lacks.", metavar="[RECIPE]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is installed, which engines work here and what a recipe lacks; exit 1 if it lacks something."""
    from safety_reasoning.doctor import examine

    findings = examine(recipe)
    if as_json:
        print(json.dumps([finding.as_json() for finding in findings], ensure_ascii=True))
    else:
        for finding in findings:
            print(finding)
    if any(not finding.ok and finding.needed for finding in findings):
        raise typer.Exit(1)


@app.command("teacher-server")
def teacher_server(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8000,
    delay_s: Annotated[float, typer.Option(min=0, help="Seconds before a reply.")] = 0.0,
    words: Annotated[int, typer.Option(min=1, help="Words of a full trace.")] = 40,
    wrong: Annotated[float, _share("wrong verdicts")] = 0.0,
    found: Annotated[float, _share("traces in which it finds a fault, as a judge")] = 0.0,
    busy: Annotated[float, _share("requests answered 429 with Retry-After")] = 0.0,
    retry_after_s: Annotated[float, typer.Option(min=0, help="What Retry-After asks for.")] = 1.0,
    failing: Annotated[float, _share("requests answered 500")] = 0.0,
    reset: Annotated[float, _share("connections closed before the reply")] = 0.0,
    cut: Annotated[float, _share("replies that end half-way")] = 0.0,
    garbage: Annotated[float, _share("replies that are no JSON")] = 0.0,
) -> None:
    """Serve a scripted teacher on loopback, to try a recipe without a model."""
    import asyncio

    from safety_reasoning.builders.teachers.server import Script, TeacherServer

    script = Script(
        delay_s=delay_s,
        words=words,
        wrong=wrong,
        found=found,
        busy=busy,
        retry_after_s=retry_after_s,
        failing=failing,
        reset=reset,
        cut=cut,
        garbage=garbage,
    )

    async def serve() -> None:
        print(await TeacherServer(script).start(port), flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
