"""The report as a page and as Markdown: they fetch nothing and run nothing, whatever a guard answered."""

import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.report.markdown import report_markdown
from safety_reasoning.eval.report.markdown import text as as_markdown
from safety_reasoning.eval.report.page import report_page
from safety_reasoning.guard_report_verbs import report as verb
from safety_reasoning.pages.text import visible
from tests.browser import chromium, needs_chromium
from tests.conftest import Run
from tests.guard_reports import DRAWS, Made, made, reported
from tests.guard_runs import row, unparsed, write_run
from tests.hostile_pages import ALERTS, HOSTILE, assert_harmless, contrast, opened

__all__ = ["made", "opened"]  # fixtures

STORED = {name: text for name, text in HOSTILE.items() if name != "surrogates"}
"""A lone surrogate cannot be in a Parquet file."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on two runs all of whose texts are hostile; the page and the Markdown stand beside each other."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = list(STORED.values())
    said = [
        row(n, positive=False, reasoning=text, answer=text, category=text[:3000], domain=text[:3000])
        for n, text in enumerate(texts)
    ]
    said += [unparsed(n + 50, reasoning=text, answer=text, finish_reason=text[:90]) for n, text in enumerate(texts)]
    said += [row(n + 90, task="toxicchat") for n in range(4)]
    task = {"name": "aegis2_prompt", "source": ALERTS, "revision": "{{7*7}}" + "\u202e", "preset": ALERTS}
    stated = {
        "model": f"{ALERTS}[a](javascript:1)",
        "adapter": "{{7*7}}",
        "model_revision": "\u202e",
        "tasks": [task],
        "name": ALERTS,
    }
    names = ("<script>alert(1)<|script>", "b \u202e | `x` (javascript:1)")
    report = reported({name: write_run(folder / name, said, **stated) for name in names})
    (folder / "report.html").write_text(report_page(report), encoding="utf-8")
    (folder / "report.md").write_text(report_markdown(report), encoding="utf-8")
    return folder / "report.html"


def test_hostile_answers_give_a_page_that_runs_and_fetches_nothing(hostile: Path) -> None:
    assert_harmless(hostile, most_bytes=1_000_000)


def test_every_hostile_answer_is_there_as_text(hostile: Path) -> None:
    page = hostile.read_text(encoding="utf-8")
    shown = [text for text in STORED.values() if visible(text[:100]) in page]
    assert len(shown) >= 3  # of each kind a few rows are shown, drawn by their keys
    assert "{{7*7}}" in page
    assert "characters left out" in page


@needs_chromium
@pytest.mark.browser
def test_a_browser_runs_and_fetches_nothing_of_it(hostile: Path, opened: tuple[Page, list[str]]) -> None:
    page, events = opened
    page.wait_for_load_state("networkidle")
    assert events == [hostile.as_uri()]
    assert page.evaluate("window.pwned") is None
    shown = page.inner_text("main")
    assert ALERTS[:40] in shown
    assert "{{7*7}}" in shown
    assert "U+202E" in shown
    for number in range(1, 13):
        assert page.locator(f"caption:has-text('Table {number}:')").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@needs_chromium
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_their_ground(made: Made, tmp_path: Path, scheme: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text(report_page(made[1]), encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page(color_scheme=scheme)
        page.goto(path.as_uri())
        for element in ("body", ".grid .printed", ".grid .run", ".note", "figure text"):
            assert contrast(page, element) >= 4.5, element


def test_every_table_has_a_caption_and_every_figure_says_what_is_to_be_seen(made: Made) -> None:
    report = made[1]
    page = report_page(report)
    tables = [table for section in report.sections for table in section.tables if table.rows]
    plots = [plot for section in report.sections for plot in section.plots if plot.points]
    assert page.count("<table>") == page.count("<caption>") == len(tables) + 12 + len(plots)
    for section in report.sections:
        assert f'<a href="#{section.name}">' in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    drawn = [ElementTree.fromstring(svg) for svg in re.findall(r"(?s)<svg.*?</svg>", page)]  # noqa: S314 - our own
    said = [svg.get("aria-label") or "" for svg in drawn]
    assert [words.partition(". ")[0] for words in said] == [plot.title for plot in plots]


# Markdown


def test_markdown_holds_every_table_and_no_markup_of_a_run(hostile: Path) -> None:
    text = hostile.with_suffix(".md").read_text(encoding="utf-8")
    for number in range(1, 13):
        assert f"### Table {number}: " in text
    assert "<script" not in text.replace("\\<", "")
    assert "\u202e" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", text)
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head(hostile: Path) -> None:
    lines = hostile.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    bars = [len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0 for line in lines]
    for before, now in itertools.pairwise(bars):
        assert not (before and now) or before == now


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        pytest.param("a | b", r"a \| b", id="a bar"),
        pytest.param("<b>*x*</b>", r"\<b\>\*x\*\</b\>", id="markup"),
        pytest.param("a\n\n# b\nc", r"a \# b c", id="lines"),
        pytest.param("\u202eab", "U+202Eab", id="direction"),
        pytest.param("back\\slash `code`", r"back\\slash \`code\`", id="code"),
    ],
)
def test_words_of_others_are_one_line_of_text(words: str, shown: str) -> None:
    assert as_markdown(words) == shown


# the verb


@pytest.mark.timeout(240)
def test_the_verb_writes_the_same_bytes_whatever_process_reads_the_runs(tmp_path: Path, made: Made, run: Run) -> None:
    folders, report = made
    html, markdown = tmp_path / "r.html", tmp_path / "r.md"
    arguments = (*folders.values(), "--out", html, "--markdown", markdown, "--draws", str(DRAWS), "--json")
    done = run("report", *arguments, env={"PYTHONHASHSEED": "1", "TZ": "UTC+9"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == report.as_json()
    assert html.read_text(encoding="utf-8") == report_page(report)
    assert markdown.read_text(encoding="utf-8") == report_markdown(report)


def test_the_verb_says_what_it_wrote(tmp_path: Path, run: Run) -> None:
    path = write_run(tmp_path / "mine", [row(n) for n in range(3)])
    done = run("report", "mine", "--out", "r.html", "--as", "mine=wildguard", "--draws", "20", cwd=path.parent)
    assert done.stdout.splitlines() == [
        "mine: row wildguard of the paper",
        "beware: not sampled as in the paper (four generations, T = 0.6, top-p 0.95): mine",
        "the report is in r.html",
    ], done.stderr


@pytest.mark.parametrize(
    ("given", "what"),
    [
        pytest.param({}, "nowhere to write", id="no place"),
        pytest.param({"as_json": True, "rows": ["mine"]}, "--as mine is not RUN=ROW", id="no pair"),
        pytest.param({"as_json": True, "rows": ["a=b", "a=c"]}, "given twice for a", id="twice"),
        pytest.param({"as_json": True, "items": ["toxicchat=x"]}, "no run has that task", id="no task"),
        pytest.param({"as_json": True, "force": ["colour"]}, "--force colour", id="no ground"),
        pytest.param({"runs": [Path("none")], "as_json": True}, "none is no run", id="no run"),
        pytest.param({"out": Path("mine")}, "mine is a folder", id="a folder"),
        pytest.param({"runs": [Path("mine"), Path("mine/")], "as_json": True}, "named twice", id="one run twice"),
        pytest.param({"out": Path("r.md"), "markdown": Path("mine/../r.md")}, "are one file, r.md", id="one file"),
    ],
)
def test_what_cannot_be_reported_is_an_error_that_says_why(
    tmp_path: Path, given: dict[str, Any], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "mine", [row()])
    monkeypatch.chdir(tmp_path)
    call: Callable[..., None] = verb
    with pytest.raises(UsageError, match=what):
        call(**({"runs": [Path("mine")]} | given))


def test_the_command_says_it_without_a_traceback(tmp_path: Path, run: Run) -> None:
    done = run("report", tmp_path, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path} is no run\nwhy: run.json: ")
