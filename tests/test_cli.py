"""The command: help, errors, doctor."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import LiveTeacher, Run, aegis_row, openai_teacher, write_aegis, write_recipe

VERBS = ("build", "release", "validate", "doctor", "teacher-server")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(run: Run, verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['x', '--help']\n"
        "from safety_reasoning.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'datasets', 'openai', 'polars', 'pyarrow', 'pandas', 'aiohttp'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", ["build", "release", "doctor"])
def test_a_recipe_that_is_not_there_is_one_error(run: Run, verb: str, tmp_path: Path) -> None:
    done = run(verb, tmp_path / "none.toml")
    assert done.returncode in {1, 2}
    assert "none.toml" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_row_is_left_out_unless_strict(tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]) -> None:
    rows = [aegis_row(), aegis_row(id="2", prompt_label="Safe")]
    recipe = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": write_aegis(tmp_path / "aegis", rows)}],
        teachers=[openai_teacher("a", teacher().url)],
    )
    strict = run("build", recipe, "--strict")
    assert strict.returncode == 2
    assert "train.json, row 2, field 'prompt_label': unknown_label" in strict.stderr
    lenient = run("build", recipe)
    assert lenient.returncode == 0, lenient.stderr
    assert "left out of content_safety: 1 × unknown_label" in lenient.stdout


def test_a_build_shows_its_progress_and_how_to_load_the_release(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]
) -> None:
    recipe = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": write_aegis(tmp_path / "aegis", [aegis_row()])}],
        teachers=[openai_teacher("a", teacher().url)],
    )
    done = run("build", recipe, cwd=tmp_path)
    assert "a: 2/2, " in done.stderr
    assert "ETA" in done.stderr
    assert done.stdout.splitlines()[-1].strip() == (
        'from datasets import load_dataset; records = load_dataset("release", split="train")'
    )


def test_doctor_says_what_is_there(run: Run) -> None:
    done = run("doctor", "--json")
    found = {item["what"]: item for item in json.loads(done.stdout)}
    assert found["python"]["ok"]
    assert found["datasets"]["ok"]
    assert "engine embedded" in found


def test_doctor_says_what_a_recipe_lacks(tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]) -> None:
    url = teacher().url
    recipe = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": "nowhere"}, {"kind": "aegis", "path": "hf://datasets/o/n"}],
        teachers=[
            openai_teacher("a", url, api_key_env="MY_KEY"),
            openai_teacher("b", "http://127.0.0.1:9/v1"),
        ],
    )
    done = run("doctor", recipe)
    assert done.returncode == 1
    lacks = [line.split()[1:3] for line in done.stdout.splitlines() if line.startswith("LACKS")]
    assert lacks == [
        ["source", f"{tmp_path}/nowhere:"],
        ["source", "hf://datasets/o/n:"],
        ["teacher", "a:"],
        ["teacher", "b:"],
    ]
    assert f"teacher a: {url}: answers (HTTP 200)" in done.stdout
    aegis = write_aegis(tmp_path / "nowhere", [aegis_row()])
    ready = write_recipe(
        tmp_path / "ready.toml",
        sources=[{"kind": "aegis", "path": aegis}],
        teachers=[openai_teacher("a", url, api_key_env="MY_KEY")],
    )
    assert run("doctor", ready, env={"MY_KEY": "k"}).returncode == 0


def test_a_store_that_lacks_replies_makes_no_release(tmp_path: Path, run: Run) -> None:
    recipe = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": write_aegis(tmp_path / "aegis", [aegis_row()])}],
        teachers=[openai_teacher("a", "http://127.0.0.1:9/v1")],
    )
    done = run("release", recipe)
    assert done.returncode == 2
    assert "run `safety-reasoning build`" in done.stderr
