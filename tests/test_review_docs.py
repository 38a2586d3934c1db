"""docs/review.md, run: its commands over traces and marks that a script has made, with the output that it shows."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import regex

from safety_reasoning.builders.calls import Call, Step
from safety_reasoning.filters.quality import FILTERS
from safety_reasoning.review.marks import KEYS
from safety_reasoning.review.sample import Drawn
from tests.conftest import ROOT, Run
from tests.reviews import SHORT, drawn, fill, mark_of, reviewing, save_marks
from tests.test_docs import blocks
from tests.test_scale_docs import plain

GOOD = "The request was read next to the listed rules, and its plain wording settles which of them apply to it."
LEAK = "The ground truth label is given above, so the answer only has to repeat what the annotators have decided."
DOCS = (ROOT / "docs" / "review.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[list[str], str]]:
    """(arguments of safety-reasoning, what is shown of its output)."""
    for block in blocks("console", DOCS):
        for said in regex.split(r"(?m)^\$ safety-reasoning ", block)[1:]:
            command, _, shown = said.partition("\n")
            yield shlex.split(command), shown


def says(call: Call) -> tuple[str | None, str]:
    """Every third trace leaks the label; verdicts are the labels that the prompt tells."""
    if call.step is not Step.FULL:
        return "", SHORT
    told = call.variables
    answer = told.get("topic_label") or (
        f"Prompt harm: {told['prompt_harm_label']}\n\nResponse harm: {told['response_harm_label']}"
    )
    return (LEAK if int(call.sample_key[:4], 16) % 3 == 0 else GOOD), answer


def anna_says(one: Drawn) -> list[str]:
    """Most leaks, something unfounded in some of the others, and a leak that no filter saw now and then."""
    place = int(one.key[:4], 16) % 6
    if one.tried.sifted.trace == LEAK:
        return ["label_leak"] if place else []
    return {0: ["unfounded"], 1: ["label_leak"]}.get(place, [])


def ben_says(one: Drawn) -> list[str]:
    """What Anna says, but for some traces that he finds clean."""
    return [] if int(one.key[4:8], 16) % 5 == 0 else anna_says(one)


def test_the_commands_print_what_the_page_shows(tmp_path: Path, run: Run) -> None:
    recipe = tmp_path / "recipes" / "quickstart.toml"
    recipe.parent.mkdir()
    text = (ROOT / "recipes" / "quickstart.toml").read_text(encoding="utf-8")
    off = json.dumps([check.__name__ for check in FILTERS if check.__name__ != "label_leak"])
    text = text.replace("attempts = 1", "attempts = 0").replace('off = ["template_echo"]', f"off = {off}")
    recipe.write_text(text, encoding="utf-8")
    (tmp_path / "sample").symlink_to(ROOT / "sample")
    loaded = fill(recipe, says)
    served, agreement, export = commands()

    arguments, shown = served
    assert arguments[:2] == ["review", "recipes/quickstart.toml"]
    with reviewing(recipe, *arguments[2:]) as page:
        assert regex.sub(r"secret=\S+", "secret=…", page.address).replace(str(page.port), "8760") in shown
    sample = drawn(loaded, count=40)
    assert f"{len(sample)} traces of {len({one.stratum for one in sample})} strata\n" in shown
    anna = [mark_of(one, "Anna", *anna_says(one)) for one in sample]
    ben = [mark_of(one, "Ben", *ben_says(one)) for one in sample[:30]]
    save_marks(loaded, [*anna, *ben])

    for arguments, shown in (agreement, export):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert [plain(line) for line in done.stdout.splitlines()] == [plain(line) for line in shown.splitlines()]


def test_the_table_of_keys_is_that_of_the_page() -> None:
    rows = regex.findall(r"(?m)^\| `(\w+)` \| `(\w)` \|", DOCS)
    assert dict(rows) == dict(KEYS)
    assert [mode for mode, _ in rows] == list(KEYS)


def test_the_picture_is_small() -> None:
    assert "](review.png)" in DOCS
    picture = (ROOT / "docs" / "review.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 150_000
