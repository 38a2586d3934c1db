"""`eval benchmarks` as its users see it, and docs/benchmarks.md against the declarations."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from safety_reasoning.benchmark_verbs import app
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.declaration import load_declaration, task_names
from safety_reasoning.eval.benchmarks.overview import lines, markdown
from safety_reasoning.eval.scores.averages import AVERAGES, tasks_of
from tests.benchmark_rows import judged_row, write
from tests.conftest import ROOT, Run

DOCS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def ask(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_every_task_and_preset_is_listed() -> None:
    listed = ask().stdout.splitlines()
    assert [line.split()[0] for line in listed[:-1]] == [line.task for line in lines()]
    assert {line.task for line in lines()} == set(task_names())
    assert (
        "wildguardtest_prompt         prompt    labelled*              ? of 1699  allenai/wildguardmix (gated)"
        in listed
    )


def test_the_list_as_json_has_everything_that_is_declared() -> None:
    listed = json.loads(ask("--json").stdout)
    toxic = [line for line in listed if line["task"] == "toxicchat"]
    assert [(line["preset"], line["default"], line["rows"], line["positives"]) for line in toxic] == [
        ("annotated", True, 2853, 362),
        ("full", False, 5083, None),
    ]


def test_one_benchmark_is_counted_by_category_and_domain(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "label": "safe", "type": "homonyms", "note": "violence"},
        {"prompt": "b", "label": "unsafe", "type": "homonyms", "note": "\x1b[31m\u202e"},
        {"prompt": "b", "label": "unsafe", "type": "homonyms", "note": None},
    ]
    done = ask("xstest_overrefusal", "--place", write(tmp_path / "x.jsonl", rows), "--as-they-are")
    assert done.exit_code == 0
    said = done.stdout.splitlines()
    assert said[0] == "xstest_overrefusal, preset all: 2 items, 1 unsafe"
    assert said[3:] == [
        "  other than declared: 3 rows in the file, not 450",
        "  other than declared: 3 labelled rows, not 450",
        "  other than declared: 2 positive rows, not 200",
        "  left out: 1 × duplicate",
        "  by category:",
        r"         1 \x1b[31m\u202e (1 unsafe)",
        "         1 violence (0 unsafe)",
        "  by domain:",
        "         2 homonyms (1 unsafe)",
    ]


def test_one_benchmark_as_json_is_what_a_run_states(tmp_path: Path) -> None:
    place = write(tmp_path / "x.csv", [judged_row(prompt="a"), judged_row(prompt="b", human_majority=1)])
    stated = json.loads(ask("jailbreakbench_response", "--place", place, "--as-they-are", "--json").stdout)
    assert stated["by"]["category"] == [{"name": "(none)", "items": 2, "positives": 1}]
    assert stated["label_rule"].startswith("human_majority is 1; the prompt is what the model was sent")
    assert stated["preset"] == "attack" and stated["licence"] == "MIT" and "Chao" in stated["citation"]


def test_a_file_with_other_counts_exits_with_2_and_no_traceback(run: Run, tmp_path: Path) -> None:
    done = run("eval", "benchmarks", "simple_safety_tests", "--place", write(tmp_path / "x.csv", [{"prompt": "p"}]))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and "1 rows in the file, not 100" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_of_one_benchmark_need_its_name(tmp_path: Path) -> None:
    refused = ask("--place", tmp_path).exception
    assert isinstance(refused, UsageError) and refused.what == "no benchmark is named"


def test_every_average_is_made_of_declared_tasks() -> None:
    assert {task for name in AVERAGES for task in tasks_of(name)} <= set(task_names())


def test_the_page_shows_the_tables_of_the_declarations() -> None:
    assert markdown() in DOCS, (
        "write the output of `safety-reasoning eval benchmarks --markdown` into docs/benchmarks.md"
    )
    assert ask("--markdown").stdout.strip() == markdown()


@pytest.mark.parametrize("task", task_names())
def test_the_page_says_who_made_each_benchmark(task: str) -> None:
    declared = load_declaration(task)
    assert declared.citation in DOCS and declared.licence in DOCS
    assert declared.policy is None or declared.policy.source in " ".join(DOCS.split())
