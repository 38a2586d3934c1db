"""The report as a page: one file that fetches nothing and runs nothing, whatever a store holds."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from safety_reasoning.builders.calls import Status, Step
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.builders.resume import begin
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import open_store
from safety_reasoning.errors import UsageError
from safety_reasoning.pages.text import cut, plain, visible
from safety_reasoning.review.report_page import report_page
from safety_reasoning.review.report_run import make_room
from tests.browser import chromium, needs_chromium
from tests.changed_teacher import changed, stopped
from tests.conftest import Run, aegis_row, openai_teacher, write_aegis, write_recipe
from tests.hostile_pages import ALERTS, HOSTILE, assert_harmless, contrast, opened
from tests.reports import Made, made, recipe, reported, scripted
from tests.stores import refused, reply

__all__ = ["made", "opened"]  # fixtures


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe all of whose texts are hostile; its page stands beside its store."""
    folder = tmp_path_factory.mktemp("hostile")
    texts = list(HOSTILE.values()) * 2  # a lone surrogate leaves its rows out of the samples
    rows = [
        aegis_row(id=f"{n}", prompt=text, response=text, violated_categories=f"{text[:200]}, {text[:2000]}")
        for n, text in enumerate(texts)
    ]
    path = write_recipe(
        folder / "recipe.toml",
        sources=[{"kind": "aegis", "path": write_aegis(folder / "aegis", rows)}],
        teachers=[openai_teacher("a", "http://127.0.0.1:9/v1")],
        name=ALERTS + "{{7*7}}",
        judge={"name": "j", "engine": "openai", "model": "j", "base_urls": ["http://127.0.0.1:9/v1"], "again": 0},
    )
    fill(path)
    (folder / "report.html").write_text(report_page(reported(path)), encoding="utf-8")
    return folder / "report.html"


def fill(path: Path) -> None:
    """Answer every call with a hostile text; the server rejects the first one with the same words."""
    recipe = load_recipe(path)
    with open_store(Path(recipe.release.store)) as store:
        for number, sample in enumerate(load_sources(recipe.sources).samples):
            text = list(HOSTILE.values())[number % len(HOSTILE)]
            paused = begin(sample, recipe.teachers[0], recipe)
            while paused.call is not None:
                request = paused.call.request(paused.key)
                if number == 0:
                    got = request.reply(Status.REJECTED, error=text)
                else:
                    reasoning = f"It is about daily life. {text}" if paused.call.step is Step.FULL else None
                    got = request.reply(Status.OK, reasoning=reasoning, answer=f"Prompt harm: unharmful\n{text}")
                store.append([got])
                paused.go_on(got)
        alien = reply(99, teacher=ALERTS, step=Step.EFFICIENT_1, answer=ALERTS)
        store.append([alien, reply(98, teacher=ALERTS, step=Step.EFFICIENT_2, answer="Two. Sentences.")])


def test_a_hostile_store_gives_a_page_that_runs_and_fetches_nothing(hostile: Path) -> None:
    assert_harmless(hostile, most_bytes=500_000)


def test_every_hostile_text_is_there_as_text(hostile: Path) -> None:
    page = hostile.read_text(encoding="utf-8")
    for text in HOSTILE.values():
        assert visible(text[:100]) in page
    assert "{{7*7}}" in page
    assert "characters left out" in page


@needs_chromium
def test_a_browser_runs_and_fetches_nothing_of_it(hostile: Path, opened: tuple[Page, list[str]]) -> None:
    page, events = opened
    page.wait_for_load_state("networkidle")
    assert events == [hostile.as_uri()]
    assert page.evaluate("window.pwned") is None
    assert page.title() == f"Traces of {ALERTS}{{{{7*7}}}}"
    shown = page.inner_text("#examples")
    assert ALERTS in shown
    assert "{{7*7}}" in shown
    assert "U+202E" in shown
    assert "U+D83D" in shown


@needs_chromium
def test_nothing_is_wider_than_a_telephone_nor_turned_around(opened: tuple[Page, list[str]]) -> None:
    page, _ = opened
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    widest = "Math.max(...[...document.querySelectorAll('main pre')].map(one => one.scrollWidth - one.clientWidth))"
    assert page.evaluate(widest) == 0
    assert page.evaluate("getComputedStyle(document.querySelector('h2')).direction") == "ltr"


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_their_ground(made: Made, tmp_path: Path, scheme: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text(report_page(made[1]), encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page(color_scheme=scheme)
        page.goto(path.as_uri())
        for element in ("body", "thead th", ".note", "nav a", "figure text"):
            assert contrast(page, element) >= 4.5, element


def test_every_table_has_a_caption_and_every_section_a_link(made: Made) -> None:
    page = report_page(made[1])
    tables = [table for section in made[1].sections for table in section.tables if table.rows]
    assert page.count("<table>") == page.count("<caption>") == len(tables)
    assert page.count('<th scope="col"') == sum(len(table.columns) for table in tables)
    for section in made[1].sections:
        assert f'<a href="#{section.name}">' in page
        assert f'<section id="{section.name}"' in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for svg in re.findall(r"(?s)<svg.*?</svg>", page):
        assert ElementTree.fromstring(svg).get("aria-label")  # noqa: S314 - our own


# text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a < b & c", "a &lt; b &amp; c", id="markup"),
        pytest.param("two\nlines\tand a tab", "two\nlines\tand a tab", id="white space"),
        pytest.param("\u202e", '<span class="unseen">U+202E</span>', id="direction"),
        pytest.param("\ud800", '<span class="unseen">U+D800</span>', id="surrogate"),
        pytest.param("\x00\r", '<span class="unseen">U+0000</span><span class="unseen">U+000D</span>', id="controls"),
        pytest.param("\U000e0041", '<span class="unseen">U+E0041</span>', id="a hidden letter"),
        pytest.param("\U000e0100", '<span class="unseen">U+E0100</span>', id="a hidden byte"),
        pytest.param("👩\u200d🔬 ک\u200cم é", "👩\u200d🔬 ک\u200cم é", id="joiners"),
        pytest.param('<span class="unseen">', "&lt;span class=&#34;unseen&#34;&gt;", id="our own markup"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert plain(text).encode("utf-8")


def test_a_long_text_loses_its_middle_and_says_how_much() -> None:
    assert cut("abc", 3) == cut("abc", 4)
    long = cut("a" * 700 + "b" * 700, 100)
    assert (long.head, long.left_out, long.tail) == ("a" * 50, 1300, "b" * 50)


# the verb


def test_the_same_store_gives_the_same_bytes_whatever_process_reads_it(tmp_path: Path, made: Made, run: Run) -> None:
    path, report, _ = made
    out = tmp_path / "report.html"
    done = run("traces", "report", path, "--out", out, "--json", env={"PYTHONHASHSEED": "1", "TZ": "UTC+9"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == report.as_json()
    assert out.read_text(encoding="utf-8") == report_page(report)


def test_the_verb_writes_beside_the_store_and_says_what_it_found(made: Made, run: Run) -> None:
    path = made[0]
    done = run("traces", "report", path, cwd=path.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "a, full: 19 traces asked for, 13 kept, 9 released",
        "a, efficient: 13 traces asked for, 13 kept, 9 released",
        "b, full: 19 traces asked for, 13 kept, 9 released",
        "b, efficient: 13 traces asked for, 13 kept, 9 released",
        "  32 × judge_label_leak",
        "  32 × label_leak",
        "  8 × truncated",
        "  6 × judge_overthinking",
        "  4 × over_budget",
        "  2 × not_judged",
        "the report is in store-report.html",
    ]
    assert "reading 19 samples …" in done.stderr
    assert "<h1>Traces of <bdi>Test</bdi> 0.1.0</h1>" in (path.parent / "store-report.html").read_text("utf-8")
    assert [p.name for p in path.parent.iterdir() if p.name.endswith(".tmp")] == []


def test_a_store_that_is_not_finished_says_so_and_json_alone_writes_no_page(tmp_path: Path, run: Run) -> None:
    with changed(scripted) as live:
        path = recipe(tmp_path, live)
        path.write_text(f"{path.read_text(encoding='utf-8')}\n[budget]\ncalls = 5\n", encoding="utf-8")
        stopped(path)
    assert json.loads(run("traces", "report", path, "--json").stdout)["unfinished"] == 38
    assert not (tmp_path / "store-report.html").exists()
    done = run("traces", "report", path)
    assert "the store is not finished: 38 of 38 chains of calls lack a reply" in done.stdout
    assert "The store is not finished: of 38 chains of calls" in (tmp_path / "store-report.html").read_text("utf-8")


def test_a_report_is_made_while_a_run_holds_the_store(made: Made) -> None:
    with open_store(made[0].parent / "store.sqlite"):
        assert reported(made[0]).as_json() == made[1].as_json()


def test_what_cannot_be_reported_is_an_error_that_says_why(tmp_path: Path, run: Run, made: Made) -> None:
    none = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": write_aegis(tmp_path / "aegis", [aegis_row()])}],
        teachers=[openai_teacher("a", "http://127.0.0.1:9/v1")],
    )
    published = write_recipe(
        tmp_path / "published.toml", sources=[{"kind": "published", "path": tmp_path}], teachers=[]
    )
    for path, what in ((none, "there is no store at"), (published, "asks no teachers")):
        with pytest.raises(UsageError, match=what):
            reported(path)
    with pytest.raises(UsageError, match="is a folder"):
        make_room(tmp_path)
    (tmp_path / "file").write_text("")
    told = refused(run, "report", made[0], "--out", tmp_path / "file" / "report.html")
    assert "cannot be written" in told


def test_without_the_extra_it_is_named_before_any_work(made: Made) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from safety_reasoning.builders.recipe import load_recipe\n"
        "from safety_reasoning.errors import UsageError\n"
        "from safety_reasoning.review.report_run import report_store\n"
        "for module in ('matplotlib', 'sklearn', 'krippendorff', 'scipy'):\n"
        "    sys.modules[module] = None\n"
        f"    try: report_store(load_recipe(Path({str(made[0])!r})), None)\n"
        "    except UsageError as error: print(error.what, error.fix)\n"
        "    del sys.modules[module]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{package} is not installed pip install 'safety-reasoning[review]'"
        for package in ("matplotlib", "scikit-learn", "krippendorff", "scipy")
    ]
