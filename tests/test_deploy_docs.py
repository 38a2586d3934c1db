"""docs/deploy.md, run: its commands with the real NeMo Guardrails, and its table against what they print."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import regex

from safety_reasoning.deploy.answer_format import harm_pattern
from safety_reasoning.deploy.hostile import Gap
from tests.conftest import ROOT
from tests.conftest import Run as RunVerb
from tests.deploy_guards import NO_NEMO, SUFFIX, nemo_python, write_guard, write_lengths
from tests.test_deploy_live import served
from tests.test_docs import blocks

DOCS = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
PYTHON = nemo_python()


def commands() -> Iterator[tuple[list[str], list[str]]]:
    """(arguments of safety-reasoning, the lines that are shown of its output)."""
    for block in blocks("console", DOCS):
        command, *shown = block.splitlines()
        yield shlex.split(command.removeprefix("$ safety-reasoning ")), shown


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose first cell is that."""
    found = re.search(rf"(?m)^\| {re.escape(heading)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", DOCS)
    assert found is not None
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in found[1].splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_guard(tmp_path / "build" / "guard", switch=SUFFIX)
    write_lengths(tmp_path / "build" / "run", [(20 + n % 101, 15) for n in range(200)])
    (tmp_path / "instruction.txt").write_text("Answer questions about taxes and nothing else.\n", encoding="utf-8")
    return tmp_path


@pytest.mark.timeout(400)
@pytest.mark.skipif(PYTHON is None, reason=NO_NEMO)
def test_every_command_does_what_the_page_shows(place: Path, run: RunVerb) -> None:
    verbs, known = [], dict[str, int]()
    with served("vllm") as url:
        for arguments, shown in commands():
            if arguments[0] == "verify":
                arguments = [f"{url}/v1" if "127.0.0.1" in one else one for one in arguments]
            arguments = [str(PYTHON) if one == "nemo/bin/python" else one for one in arguments]
            done = run(*arguments, cwd=place, timeout=300)
            assert done.returncode == 0, done.stderr
            printed = done.stdout.replace(f"{place}/", "/…/").splitlines()
            assert shown == [line for line in printed if line in set(shown)], arguments
            verbs.append(arguments[:2])
            known |= _known(printed)
    assert verbs == [["export", "vllm"], ["export", "nemo"], ["verify", "nemo"]]
    assert known == {code.strip("`"): int(count) for code, count, *_ in table("known as")}


def _known(printed: list[str]) -> dict[str, int]:
    """How many outputs are listed under each known gap."""
    found: dict[str, int] = {}
    code = None
    for line in printed:
        if not line.startswith("  "):
            named = regex.match(r"fails open, known as (\w+):", line)
            code = None if named is None else named[1]
        elif code is not None:
            found[code] = found.get(code, 0) + 1
    return found


def test_the_table_names_every_gap_and_the_page_the_pattern() -> None:
    assert [code.strip("`") for code, *_ in table("known as")] == [gap.value for gap in Gap]
    assert harm_pattern(reasoning=True) in DOCS
