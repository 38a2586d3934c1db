"""Text of rows and names of columns in a diff: it is shown, shortened, and never does anything."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

from safety_reasoning.hub.changelog_notes import code
from safety_reasoning.hub.diff import Diff, diff
from safety_reasoning.hub.diff_markdown import as_markdown
from safety_reasoning.hub.diff_text import as_text
from tests.conftest import Run
from tests.releases import CONTENT, Row, content, write_lines, write_tables

HOSTILE = {
    "escape": "\x1b[2J\x1b]0;title\x07 red",
    "return": "over\rwritten\nnext line\x85\u2028end",
    "right to left": "\u202egnp.exe \u2066\u05d0\u2069",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "pipe": "a | b || c",
    "backticks": "`` ` ``` end `",
    "backtick ends": "`x`",
    "link": "[x](javascript:alert(1)) ![y](https://example.com/z.png) https://example.com <https://example.com>",
    "mention": "@everyone #1 owner/name#2",
    "jinja": "{{ 7*7 }} {% raw %} {0} %s",
    "list": "- [ ] task\n# head\n> quote\n---",
    "megabyte": "word " * 250_000,
    "astral": "\U000e0041\U0001f600",
    "edges": "  both ends  ",
    "empty": "",
}


def two(folder: Path, text: str) -> Diff:
    """A diff in which the text is a prompt, an old and a new trace, and a removed and an added row."""
    old = [content(1, safety_reasoning_a=text), content(2, prompt=text), content(3, prompt=text)]
    new = [
        content(1, safety_reasoning_a=f"{text}!"),
        content(2, prompt=text, safety_reasoning_a=None),
        content(4, prompt=text),
    ]
    write_tables(folder / "old", {CONTENT: old})
    write_tables(folder / "new", {CONTENT: new})
    return diff(str(folder / "old"), str(folder / "new"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_on_a_terminal_every_character_only_shows_itself(tmp_path: Path, text: str) -> None:
    shown = as_text(two(tmp_path, text))
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert len(shown) < 5000
    for line in shown.splitlines():
        if '"' in line:  # every text stands between quotes, and can be read back
            texts = re.findall(r'"(?:[^"\\]|\\.)*"', line)
            assert texts, line
            assert all(isinstance(json.loads(re.sub(r"\\U[0-9a-f]{8}", "?", one)), str) for one in texts), line


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_in_markdown_it_stands_in_code_and_nowhere_else(tmp_path: Path, text: str) -> None:
    shown = as_markdown(two(tmp_path, text))
    assert len(shown) < 5000
    codes = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(shown):
        assert token.type not in {"html_block", "fence", "code_block", "table_open", "blockquote_open", "hr"}
        for child in token.children or []:
            assert child.type in {"text", "code_inline", "softbreak"}, child
            if child.type == "text":
                assert re.fullmatch(r"[\w ,.;:→()/-]*", child.content), child.content
            else:
                codes.append(child.content)
    assert json.dumps(text[:80], ensure_ascii=False)[1:10] in " ".join(codes) or not text.isprintable()


@pytest.mark.parametrize("text", [t for t in HOSTILE.values() if len(t) < 1000], ids=lambda t: repr(t)[:20])
def test_a_code_span_holds_its_text_to_the_letter(text: str) -> None:
    (inline,) = [t for t in MarkdownIt("commonmark").parse(code(text)) if t.type == "inline"]
    (span,) = inline.children or []
    assert span.type == "code_inline"
    if text.isprintable() and text:
        assert span.content == text


@pytest.mark.parametrize(
    "name", ["row", "key", "key again", "hash of id", "value of prompt_label", "turn", "cell of id", " in new"]
)
def test_no_name_of_a_column_is_mistaken_for_one_of_ours(tmp_path: Path, name: str) -> None:
    for side, value in (("old", "x"), ("new", "y")):
        write_lines(tmp_path / side, {CONTENT: [content(1, **{name: value}), content(2, **{name: "same"})]})
    rows = diff(str(tmp_path / "old"), str(tmp_path / "new")).configs[0].rows
    assert (rows.changed, rows.columns) == (1, {name: 1})
    assert [(c.column, c.old, c.new) for c in rows.changed_samples[0].changes] == [(name, "x", "y")]


@pytest.mark.parametrize("name", ["<b>|`x`", "a\x1b[31m\nb", "", "[l](https://example.com)"], ids=repr)
def test_a_hostile_name_of_a_column_is_shown_like_any_text(tmp_path: Path, name: str) -> None:
    write_lines(tmp_path / "old", {CONTENT: [content(1)]})
    write_lines(tmp_path / "new", {CONTENT: [content(1, **{name: "x"})]})
    found = diff(str(tmp_path / "old"), str(tmp_path / "new"))
    assert [change.column for change in found.configs[0].schema] == [name]
    assert as_text(found).replace("\n", "").isprintable()
    for token in MarkdownIt("commonmark").parse(as_markdown(found)):
        assert {child.type for child in token.children or []} <= {"text", "code_inline"}


def test_lines_that_cannot_be_read_are_named_and_nothing_is_said_to_be_equal(tmp_path: Path, run: Run) -> None:
    rows: list[Row] = [content(n) for n in range(6)]
    rows[1]["prompt"], rows[3]["prompt"], rows[4]["prediction_gt_mismatch_a"] = 5, "lone \ud800", "no"
    old = write_lines(tmp_path / "old", {CONTENT: rows})
    with next(old.glob("*.jsonl")).open("a", encoding="utf-8") as file:
        file.write('{"id": "torn\n[1]\n')
    new = write_tables(tmp_path / "new", {CONTENT: [rows[0], rows[2], rows[5]]})
    done = run("diff", old, new)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[1] == "  not read: aegis_v2_efficient_reasoning.jsonl, 5 lines: 2, 4, 5, 7, 8"
    assert told[3:] == [
        "content_safety: the same 3 rows",
        "next version: a minor one, since there are lines that could not be read; old states none",
    ]
    assert "`aegis_v2_efficient_reasoning.jsonl` of old, 5 lines that could not be read: 2, 4, 5, 7, 8" in (
        run("diff", old, new, "--markdown").stdout
    )


def test_json_and_parquet_types_that_say_the_same_are_the_same(tmp_path: Path) -> None:
    rows = [content(1, reconstruction_id_if_redacted=7), content(2)]
    write_tables(tmp_path / "old", {CONTENT: rows})
    as_pandas_wrote = [
        rows[0] | {"reconstruction_id_if_redacted": 7.0},
        rows[1] | {"reconstruction_id_if_redacted": float("nan")},
    ]
    write_lines(tmp_path / "new", {CONTENT: as_pandas_wrote})
    assert diff(str(tmp_path / "old"), str(tmp_path / "new")).nothing_changed


def test_another_type_is_a_change_of_schema_and_the_values_are_compared_all_the_same(tmp_path: Path) -> None:
    old = write_tables(tmp_path / "old", {CONTENT: [content(1, reconstruction_id_if_redacted=7), content(2)]})
    path = (
        write_tables(tmp_path / "new", {CONTENT: [content(1), content(2)]})
        / "data/content_safety/train-00000-of-00001.parquet"
    )
    table = pq.read_table(path)
    at = table.schema.get_field_index("reconstruction_id_if_redacted")
    pq.write_table(table.set_column(at, "reconstruction_id_if_redacted", pa.array([7.0, float("nan")])), path)
    found = diff(str(old), str(tmp_path / "new"))
    assert [(c.kind, c.column, c.old, c.new) for c in found.configs[0].schema] == [
        ("type changed", "reconstruction_id_if_redacted", "Int64", "Float64")
    ]
    assert found.configs[0].rows.changed == 0
