"""docs/scale.md, run: its commands against scripted teachers, its recipes on the project's own sample."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import regex

from safety_reasoning.builders.recipe import TeacherRecipe, load_recipe
from tests.conftest import ROOT, LiveTeacher, Run
from tests.test_docs import blocks, masked

DOCS = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
SAMPLE = {
    "hf://datasets/nvidia/Aegis-AI-Content-Safety-Dataset-2.0": "../sample/aegis-2.0",
    "hf://datasets/nvidia/CantTalkAboutThis-Topic-Control-Dataset": "../sample/canttalkaboutthis",
}
ALONGSIDE = {"RAY_worker_niceness": "0"}
"""Ray's workers give way to everything else by default, so a test beside this one can starve them."""
HEAD = """
[release]
name = "Scale"
out = "release"
store = "store.sqlite"

[[sources]]
kind = "aegis"
path = "sample/aegis-2.0"
"""


def plain(line: str) -> str:
    return " ".join(masked(line).split())


def commands() -> Iterator[tuple[list[str], list[str]]]:
    """(arguments of safety-reasoning, the lines that are shown of its output)."""
    for block in blocks("console", DOCS):
        for said in regex.split(r"(?m)^\$ safety-reasoning ", block)[1:]:
            command, *shown = said.splitlines()
            yield shlex.split(command), shown


def test_the_commands_do_what_the_page_says(tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]) -> None:
    recipe = (ROOT / "recipes" / "release.toml").read_text(encoding="utf-8")
    for path, sample in SAMPLE.items():
        recipe = recipe.replace(path, sample)
    for port in (8001, 8002, 8003):
        recipe = recipe.replace(f"http://127.0.0.1:{port}/v1", teacher().url)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "release.toml").write_text(recipe, encoding="utf-8")
    (tmp_path / "sample").symlink_to(ROOT / "sample")
    verbs = []
    for arguments, shown in commands():
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        printed = [plain(line) for line in (done.stderr + done.stdout).splitlines()]
        assert [plain(line) for line in shown] == [line for line in printed if line in set(map(plain, shown))]
        verbs.append(arguments[:2])
    assert [verb for _, verb in verbs if not verb.endswith(".toml")] == [
        *("generate", "status", "retry", "export", "import")
    ]


def teacher_sections() -> list[str]:
    return [block for block in blocks("toml", DOCS) if block.startswith("[[teachers]]")]


@pytest.mark.timeout(500)
@pytest.mark.parametrize("number", [0, 1], ids=["many servers", "ray"])
def test_a_teacher_section_of_the_page_asks_its_servers(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher], number: int
) -> None:
    if number == 1:
        pytest.importorskip("ray")
    section = teacher_sections()[number].replace('"auto"', '"local"').replace("/shared", str(tmp_path))
    section = section.replace("workers = 8", "workers = 2").replace("concurrency = 512", "concurrency = 8")
    lives: dict[str, LiveTeacher] = {}
    for url in regex.findall(r"http://node\d:8002/v1", section):
        lives[url] = teacher(delay_s=0.01)
        section = section.replace(url, lives[url].url)
    (tmp_path / "recipe.toml").write_text(HEAD + section, encoding="utf-8")
    (tmp_path / "sample").symlink_to(ROOT / "sample")
    done = run("build", tmp_path / "recipe.toml", env=ALONGSIDE, timeout=450)
    assert done.returncode == 0, done.stderr
    assert all(live.server.calls for live in lives.values())


def test_the_other_sections_of_the_page_are_recipes(tmp_path: Path) -> None:
    budget, price = (block for block in blocks("toml", DOCS) if not block.startswith("[[teachers]]"))
    path = tmp_path / "recipe.toml"
    path.write_text(HEAD + budget + teacher_sections()[2] + price, encoding="utf-8")
    loaded = load_recipe(path)
    (teacher,) = loaded.teachers
    assert isinstance(teacher, TeacherRecipe)
    assert (teacher.engine, teacher.base_urls, teacher.vllm.tensor_parallel) == ("ray", (), 2)
    assert loaded.budget.cost_usd == 400.0
