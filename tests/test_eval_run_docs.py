"""docs/evaluation.md: its files are written, its sessions are run, and they print what it says."""

import re
import shlex
from pathlib import Path

import pytest

from safety_reasoning.builders.calls import Status
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.verdicts import Fault
from tests.conftest import ROOT, Run

TEXT = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_its_sessions_print_what_it_says(tmp_path: Path, run: Run) -> None:
    (tmp_path / "moderation.jsonl").write_text(block("json"), encoding="utf-8")
    (tmp_path / "run.toml").write_text(block("toml"), encoding="utf-8")
    sessions = re.findall(r"```console\n\$ safety-reasoning (.*?)\n(.*?)```", TEXT, re.DOTALL)
    assert len(sessions) == 3
    for command, printed in sessions:
        done = run(*shlex.split(command), cwd=tmp_path)
        assert done.stdout == printed, done.stderr


@pytest.mark.parametrize("code", [*Fault, *(status for status in Status if status is not Status.EMPTY_REASONING)])
def test_every_code_of_a_row_is_explained(code: str) -> None:
    assert f"`{code}`" in TEXT


def test_every_engine_is_named() -> None:
    engines = EngineRecipe.model_fields["engine"].annotation.__args__  # type: ignore[union-attr]  # a Literal's
    assert all(f"| `{engine}` |" in TEXT for engine in engines)


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)", TEXT):
        assert (ROOT / "docs" / link).exists(), link
