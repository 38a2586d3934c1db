"""The verbs that read runs, as they are typed: tables, JSON documents, refusals, hostile names; and docs/scores.md."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from safety_reasoning.cli import app
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.scores.comparable import Ground
from safety_reasoning.eval.scores.measure import Metric
from safety_reasoning.eval.scores.policy import Policy
from tests.conftest import ROOT, Run
from tests.guard_runs import answers, frame, row, unparsed, write_run
from tests.mixtures import mixed, safety, write_mixture_recipe, write_release
from tests.test_docs import blocks, masked

DOCS = (ROOT / "docs" / "scores.md").read_text(encoding="utf-8")
TASKS = ("aegis2_response", "jailbreakbench_response", "wildguardtest_response", "xstest_response")
HOSTILE = "\x1b[2J\u202e{{ 7*7 }} [bold]<script>\nx"


def command(*arguments: str | Path) -> str:
    """What `safety-reasoning eval` prints."""
    done = CliRunner().invoke(app, ["eval", *map(str, arguments)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def document(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command(*arguments, "--json"))
    return found


def everything(folder: Path) -> None:
    """The runs, the mixture and the items' texts of docs/scores.md."""
    fast = [one for task in TASKS for one in answers(task, items=100, right=0.8, trace_tokens=0, latency_s=0.2)]
    slow = [one for task in TASKS for one in answers(task, items=100, right=0.9, seed=1)]
    write_run(folder / "runs" / "fast", fast)
    write_run(folder / "runs" / "slow", slow)
    write_release(folder / "release", [safety(n) for n in range(20)])
    mixed(write_mixture_recipe(folder / "m.toml"))
    texts = {one["item"]: asked(number) for number, one in enumerate(slow[:200:2])}
    items = pl.DataFrame([{"task": task, "item": key, "prompt": text} for task in TASKS for key, text in texts.items()])
    items.write_ndjson(folder / "items.jsonl")


def asked(number: int) -> str:
    """Ten texts of the mixture, five around one of it, five that are short, the others clean."""
    if number < 15:
        said = str(safety(number)["prompt"])
        return said if number < 10 else f"Please tell me: {said} Thank you."
    return "Hello?" if number < 20 else f"Which bread goes with soup number {number} in winter, and why is that so?"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    everything(folder)
    return folder


def test_the_commands_of_the_page_print_what_it_shows(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    verbs = []
    for block in blocks("console", DOCS):
        for said in re.split(r"(?m)^\$ safety-reasoning eval ", block)[1:]:
            line, *shown = said.splitlines()
            printed = iter([_loose(one) for one in command(*shlex.split(line)).splitlines()])
            for one in shown:
                assert one in ("", "…") or _loose(one) in printed, one  # in this order: `in` moves the iterator on
            verbs.append(line.split()[0])
    assert set(verbs) == {"score", "compare", "cost", "escalate", "contamination"}


def _loose(line: str) -> str:
    """Numbers may differ in their last digit from one release of scipy to the next."""
    return re.sub(r"\s+", " ", masked(line)).replace("-N", "N").strip()


def test_the_page_names_every_metric_policy_and_ground() -> None:
    for name in [*Metric, *Policy, *Ground]:
        assert f"`{name.value}`" in DOCS, name


def test_a_score_is_one_document_with_every_policy(place: Path) -> None:
    found = document("score", place / "runs" / "slow", "--by", "category", "--policy", "drop", "--draws", "50")
    assert (found["policy"], found["draws"], found["by"]) == ("drop", 50, "category")
    assert list(found["tasks"]) == list(TASKS)
    for by_policy in found["tasks"].values():
        assert list(by_policy) == [policy.value for policy in Policy]
        assert list(by_policy["wrong"]["measures"]) == [metric.value for metric in Metric]
    assert found["averages"]["wrong"]["resp4"]["value"] == pytest.approx(
        sum(task["wrong"]["measures"]["f1"]["value"] for task in found["tasks"].values()) / 4, abs=1e-5
    )
    assert found["averages"]["wrong"]["safety9"]["value"] is None
    assert "toxicchat" in found["averages"]["wrong"]["safety9"]["missing"]
    assert set(found["parts"]["xstest_response"]) == {"(none named)", "Fraud", "Violence"}


def test_a_run_without_a_readable_answer_has_no_score_and_says_why(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [unparsed(n, "open_think") for n in range(4)])
    printed = command("score", run)
    assert "no F1: none of 4 answers could be read" in printed
    assert "4 × open_think" in printed
    measures = document("score", run)["tasks"]["aegis2_prompt"]["harmful"]["measures"]
    assert {one["value"] for one in measures.values()} == {None}


def test_names_and_texts_of_others_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    changes = {"task": HOSTILE, "category": HOSTILE, "reasoning": HOSTILE, "answer": HOSTILE}
    a = write_run(tmp_path / "a", [row(n, **changes) for n in range(3)])
    b = write_run(tmp_path / "b", [unparsed(n, HOSTILE, **changes) for n in range(4)], prompt_sha256=HOSTILE)
    printed = "".join(
        [
            command("score", b, "--by", "category"),
            command("compare", a, b, "--show", "3", "--force", "data", "--force", "prompt"),
            command("cost", a, b),
            command("escalate", b, a),
        ]
    )
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "U+202E{{ 7*7 }} [bold]<script>⏎x" in printed
    with pytest.raises(UsageError) as refused:
        command("compare", a, b)
    assert "\x1b" not in str(refused.value)


def test_runs_that_differ_are_refused_and_named_when_forced(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", answers(items=20))
    b = write_run(tmp_path / "b", answers(items=20, seed=1), prompt_sha256="1" * 64, sampling={"preset": "deploy"})
    with pytest.raises(UsageError) as refused:
        command("compare", a, b, "--force", "prompt")
    assert "sampling is" in refused.value.why
    assert "prompt" not in refused.value.why
    assert refused.value.fix.endswith("--force sampling")
    arguments = ("compare", a, b, "--force", "prompt", "--force", "sampling")
    assert command(*arguments).count("forced, though the runs differ: ") == 2
    assert [one["ground"] for one in document(*arguments)["forced"]] == ["prompt", "sampling"]


def test_flipped_rows_are_written_beside_the_comparison(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "flips.parquet"
    found = document("compare", place / "runs" / "fast", place / "runs" / "slow", "--flips", out, "--draws", "20")
    rows = pl.read_parquet(out)
    assert len(rows) == found["flipped"] > 0
    assert {"a_reasoning", "b_reasoning"} <= set(rows.columns)


def test_the_contaminated_items_are_named_in_the_document(place: Path) -> None:
    found = document(
        "contamination", place / "runs" / "slow", place / "mixture", "--items", place / "items.jsonl", "--draws", "0"
    )
    for task in found["tasks"].values():
        assert task["found"] == {"exact": 10, "normalised": 0, "ngram": 5}
        assert (len(task["keys"]), task["too_short"], task["without_text"]) == (15, 5, 0)
    assert (found["n"], found["mixture_rows"], found["mixture_uncut"]) == (8, 20, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["score", "{runs}/fast", "--policy", "strict"], "--policy strict is not known"),
        (["score", "{runs}/fast", "--by", "language"], "--by language is not known"),
        (["compare", "{runs}/fast", "{runs}/slow", "--force", "all"], "--force all is not known"),
        (["compare", "{runs}/fast", "{runs}/slow", "--flips", "flips.csv"], "neither .parquet nor .jsonl"),
        (["cost", "{runs}/fast", "{runs}/fast"], "a run is named twice"),
        (["score", "{runs}"], "is no run"),
        (["escalate", "{runs}/fast", "{runs}/other"], "have no row in common"),
        (["compare", "{runs}/fast", "{runs}/other", "--force", "sampling"], "have no row in common"),
        (["contamination", "{runs}/slow", "{runs}/slow"], "is no mixture"),
        (["contamination", "{runs}/slow", "{runs}/../mixture", "--place", "x"], "is not TASK=PATH"),
        (
            ["contamination", "{runs}/slow", "{runs}/../mixture", "--place", "t=a", "--place", "t=b"],
            "given twice for t",
        ),
        (["contamination", "{runs}/slow", "{runs}/../mixture", "--place", "toxic=a.csv"], "has no task 'toxic'"),
        (
            ["contamination", "{runs}/slow", "{runs}/../mixture", "--items", "a.jsonl", "--place", "t=a"],
            "--place and --items exclude each other",
        ),
    ],
    ids=lambda one: " ".join(one[:1] + one[-1:]) if isinstance(one, list) else "",
)
def test_what_cannot_be_used_is_named(place: Path, arguments: list[str], said: str) -> None:
    write_run(place / "runs" / "other", [row(task="toxicchat")])
    with pytest.raises(UsageError, match=re.escape(said)):
        command(*(one.format(runs=place / "runs") for one in arguments))


def test_a_mistake_ends_without_a_traceback(run: Run, tmp_path: Path) -> None:
    done = run("eval", "score", tmp_path / "nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_without_scikit_learn_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_run(tmp_path / "run", [row()])
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(UsageError, match="scikit-learn is not installed") as refused:
        command("score", path)
    assert "safety-reasoning[eval]" in refused.value.fix


def test_a_guard_that_was_trained_on_another_mixture_is_told(place: Path, tmp_path: Path) -> None:
    items = ("--items", place / "items.jsonl", "--draws", "0")
    taught = document("contamination", place / "runs" / "slow", place / "mixture", *items)["mixture"]
    runs = [write_run(tmp_path / name, [row()], mixture=stated) for name, stated in (("a", "f" * 64), ("b", taught))]
    told = ["trained on another mixture" in command("contamination", run, place / "mixture", *items) for run in runs]
    assert told == [True, False]


def test_a_run_that_names_no_tasks_has_no_texts(place: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [row()], tasks=None)
    with pytest.raises(UsageError, match="names no tasks"):
        command("contamination", run, place / "mixture")


def test_runs_of_one_folder_name_are_told_apart(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name / "run", answers(items=10)) for name in ("a", "b")]
    assert list(document("cost", *runs, "--draws", "0")["runs"]) == [str(path) for path in runs]


def test_the_texts_are_read_from_the_tasks_again(tmp_path: Path) -> None:
    """Of the project's own declared tasks, from a local file in the upstream format."""
    from safety_reasoning.eval.benchmarks.load import load_task

    source = tmp_path / "simple_safety_tests.csv"
    prompts = [f"How is thing number {n} made at home, and what does one need to have for it?" for n in range(3)]
    lines = ["id,harm_area,counter,category,prompt", *(f'{n},Area,{n},Category,"{p}"' for n, p in enumerate(prompts))]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    task = load_task("simple_safety_tests", place=source, counts="as they are")
    rows = frame(row(item.key, task=task.name, positive=item.positive) for item in task.items)
    run = write_run(tmp_path / "run", rows.to_dicts(), tasks=[dict(task.stated)])
    write_release(tmp_path / "release", [safety(1, prompt=prompts[0])])
    mixed(write_mixture_recipe(tmp_path / "m.toml"))
    found = document("contamination", run, tmp_path / "mixture", "--place", f"simple_safety_tests={source}")
    one = found["tasks"]["simple_safety_tests"]
    assert (one["items"], one["without_text"]) == (3, 0)
    assert one["found"]["exact"] == 1
