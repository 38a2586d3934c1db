"""docs/hub.md, run: its commands in their order, its code in one process, against a Hub on loopback."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import regex

from tests.conftest import ROOT, LiveTeacher, serving
from tests.hub_server.client import online
from tests.hub_server.server import HubServer
from tests.test_docs import blocks
from tests.test_import import source
from tests.test_scale_docs import SAMPLE, plain
from tests.tls_gate import TlsGate

DOCS = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.timeout(400)  # a dozen commands, each a process that loads a release

PUBLISHED = "nvidia/Nemotron-Content-Safety-Reasoning-Dataset"
ALL, ANY = 'keep = "all"', 'keep = "any"'


def told(line: str) -> str:
    """A line of output, without what depends on the bytes of a release: counts, sizes, commits, keys."""
    return plain(regex.sub(r"\b(?=\w*\d)[0-9a-f]{8,40}\b", "N", line))


def named(text: str) -> str:
    """The text with the repositories of the Hub on loopback."""
    return text.replace("OWNER/NAME", "o/n").replace("OWNER/FIXED", "o/fixed")


def commands() -> Iterator[tuple[list[str], list[str]]]:
    """(arguments of safety-reasoning, the lines that are shown of its output)."""
    for block in blocks("console", named(DOCS)):
        for said in regex.split(r"(?m)^\$ safety-reasoning ", block)[1:]:
            command, *shown = said.splitlines()
            yield shlex.split(command), shown


@dataclass(frozen=True)
class Run:
    """What became of the page's commands."""

    folder: Path
    environment: dict[str, str]
    hub: HubServer
    printed: list[tuple[list[str], list[str], str, int]]
    """Arguments, lines shown on the page, what was printed, exit status."""


def recipe(folder: Path, teachers: list[LiveTeacher]) -> Path:
    """recipes/release.toml in the folder, on the project's own sample, with scripted teachers and `keep = "all"`."""
    text = (ROOT / "recipes" / "release.toml").read_text(encoding="utf-8").replace(ANY, ALL)
    for address, sample in SAMPLE.items():
        text = text.replace(address, sample)
    for port, teacher in zip((8001, 8002, 8003), teachers, strict=True):
        text = text.replace(f"http://127.0.0.1:{port}/v1", teacher.url)
    (folder / "recipes").mkdir()
    (folder / "sample").symlink_to(ROOT / "sample")
    path = folder / "recipes" / "release.toml"
    path.write_text(text, encoding="utf-8")
    return path


def command(*arguments: str, cwd: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "safety_reasoning.cli", *arguments],
        cwd=cwd,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Everything that the page's commands leave behind."""
    folder = tmp_path_factory.mktemp("page")
    with HubServer() as hub, serving() as one, serving(wrong=0.3) as two:
        path = recipe(folder, [one, two, one])
        environment = online(hub, folder / "hf")
        hub.add_repo(PUBLISHED, folder=source(folder / "published"))
        built = command("build", str(path), cwd=folder, env=environment)
        assert built.returncode == 0, built.stdout
        printed = []
        for arguments, shown in commands():
            if arguments[0] == "release":
                path.write_text(path.read_text(encoding="utf-8").replace(ALL, ANY), encoding="utf-8")
            done = command(*arguments, cwd=folder, env=environment)
            printed.append((arguments, shown, done.stdout, done.returncode))
        yield Run(folder, environment, hub, printed)


def test_every_command_does_what_the_page_shows(page: Run) -> None:
    for arguments, shown, printed, status in page.printed:
        assert status == 0, printed
        found = [told(line) for line in printed.splitlines()]
        assert shown, arguments
        assert [told(line) for line in shown] == [line for line in found if line in set(map(told, shown))], arguments
    verbs = [arguments[0] for arguments, *_ in page.printed]
    assert verbs == ["bump", "push", "release", "diff", "bump", "push", "validate", "import", "bump", "push"]


def test_the_changelog_that_the_page_shows_is_the_one_that_was_pushed(page: Run) -> None:
    pushed = page.hub.files("v1.1.0")["CHANGELOG.md"].decode()
    (shown,) = blocks("markdown", DOCS)
    assert [plain(line) for line in shown.splitlines()] == [plain(line) for line in pushed.splitlines()[5:]]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the certificate of the proxy is made with openssl")
def test_every_way_of_loading_it_that_the_page_shows_works(page: Run, tmp_path: Path) -> None:
    code = blocks("python", named(DOCS))
    script = "".join(f"exec(compile({text!r}, 'block {n}', 'exec'), {{}})\n" for n, text in enumerate(code))
    with TlsGate(page.hub, tmp_path) as gate:
        environment = os.environ | page.environment | gate.environment
        done = subprocess.run(
            [sys.executable, "-W", "error::FutureWarning", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    shown = regex.findall(r"(?m)^print\(.*\)  # (.*)$", "\n".join(code))
    assert [plain(line) for line in done.stdout.splitlines()] == [plain(line) for line in shown]
    assert (tmp_path / "sft" / "train.parquet").is_file()
