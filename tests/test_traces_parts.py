"""`safety-reasoning traces export` and `import`: replies carried from store to store."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safety_reasoning.builders.calls import Reply
from safety_reasoning.builders.parts import REPLY_SCHEMA, merge, write_replies
from safety_reasoning.builders.store import open_store
from safety_reasoning.errors import UsageError
from tests.conftest import Run, openai_teacher
from tests.stores import Start, filled, recipe, refused, replies_of, reply

TEXTS = ["", "\ud800 half", "\udfff", "\x00 nul", "\u202e right to left", "x" * 2**20, "\ude00\ud83d 😀", "é\r\n\t"]


def odd_replies() -> list[Reply]:
    odd = [reply(n, reasoning=text, answer=f"{text}.", error=text) for n, text in enumerate(TEXTS)]
    return [*odd, reply(100, reasoning=None, answer="\ud800"), reply(101, reasoning=None, cost_usd=0.125)]


def test_an_export_imported_is_the_same_store_and_again_it_changes_nothing(tmp_path: Path, run: Run) -> None:
    first = filled(tmp_path / "first.sqlite", *odd_replies())
    done = run("traces", "export", first, tmp_path / "first.parquet")
    assert done.stdout == f"10 replies, in {tmp_path / 'first.parquet'}\n", done.stderr
    done = run("traces", "import", tmp_path / "second.sqlite", tmp_path / "first.parquet")
    assert done.stdout == "10 replies were new, 0 were there already, in 1 parts\n", done.stderr
    done = run("traces", "import", tmp_path / "second.sqlite", tmp_path / "first.parquet")
    assert done.stdout == "0 replies were new, 10 were there already, in 1 parts\n", done.stderr
    assert replies_of(tmp_path / "second.sqlite") == sorted(odd_replies(), key=lambda kept: kept.key)
    assert run("traces", "export", tmp_path / "second.sqlite", tmp_path / "second.parquet").returncode == 0
    assert (tmp_path / "second.parquet").read_bytes() == (tmp_path / "first.parquet").read_bytes()


def test_folders_of_parts_are_merged_and_what_is_there_stays(tmp_path: Path, run: Run) -> None:
    store = filled(tmp_path / "s.sqlite", reply(1, answer="first"))
    write_replies(tmp_path / "parts" / "x" / "1.parquet", [reply(1, answer="second"), reply(2)])
    write_replies(tmp_path / "parts" / "2.parquet", [reply(2), reply(3)])
    done = run("traces", "import", store, tmp_path / "parts")
    assert done.stdout == "2 replies were new, 2 were there already, in 2 parts\n", done.stderr
    assert {kept.key: kept.answer for kept in replies_of(store)}[reply(1).key] == "first"


def test_a_folder_is_no_file_to_export_to(tmp_path: Path, run: Run) -> None:
    store = filled(tmp_path / "s.sqlite", reply(1))
    for folder in (tmp_path, Path(), Path("/")):
        assert f"{folder} cannot be written\nwhy: it is a folder" in refused(run, "export", store, folder)


def test_a_recipe_stands_for_its_store(tmp_path: Path, run: Run, teacher: Start) -> None:
    path = recipe(tmp_path, openai_teacher("a", teacher().url))
    write_replies(tmp_path / "part.parquet", [reply(1)])
    assert run("traces", "import", path, tmp_path / "part.parquet").returncode == 0
    assert run("traces", "export", path, tmp_path / "out.parquet").stdout.startswith("1 replies")
    assert replies_of(tmp_path / "store.sqlite") == [reply(1)]


def not_merged(store: Path, *parts: Path) -> str:
    """What a merge of parts, the last of which is bad, says; in this process, which is much faster than the command."""
    with open_store(store) as opened, pytest.raises(UsageError) as error:
        merge(opened, parts)
    return str(error.value)


def edited(source: Path, out: Path, **values: Any) -> Path:
    """A part whose third row has these values."""
    rows = pq.read_table(source).to_pylist()
    rows[2] |= values
    pq.write_table(pa.Table.from_pylist(rows, schema=REPLY_SCHEMA), out)
    return out


BAD_VALUES: dict[str, dict[str, Any]] = {
    "a status that is none": {"status": "splendid"},
    "a step that is none": {"step": "polish"},
    "a key of another length": {"key": "00"},
    "a key that is no hex": {"key": "z" * 32},
    "no key": {"key": None},
    "no status": {"status": None},
    "no answer": {"answer": None},
    "a latency that is no number": {"latency_s": math.nan},
    "an escaped text that is no JSON": {"escaped": True},
    "an escaped text that is no text": {"escaped": True, "reasoning": "[1]", "answer": "5", "error": '""'},
}


@pytest.mark.parametrize("values", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_row_that_is_no_reply_is_named_and_what_came_before_its_part_is_kept(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    write_replies(tmp_path / "1.parquet", [reply(n) for n in range(5)])
    write_replies(tmp_path / "good.parquet", [reply(n) for n in range(10, 15)])
    bad = edited(tmp_path / "good.parquet", tmp_path / "2.parquet", **values)
    said = not_merged(tmp_path / "s.sqlite", tmp_path / "1.parquet", bad)
    assert "2.parquet, row 3: not a reply" in said
    assert len(replies_of(tmp_path / "s.sqlite")) >= 5


def unreadable(folder: Path, kind: str) -> Path:
    """A file that is no part."""
    path = folder / "2.parquet"
    write_replies(path, [reply(n) for n in range(10, 15)])
    table = pq.read_table(path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    elif kind == "damaged":
        whole = path.read_bytes()
        path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    elif kind == "text":
        path.write_text('{"key": "x"}', encoding="utf-8")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "a column less":
        pq.write_table(table.drop_columns(["status"]), path)
    elif kind == "a column of another type":
        pq.write_table(table.set_column(0, "key", pa.array([[1]] * 5)), path)
    else:
        pq.write_table(pa.table({"other": [1]}), path)
    return path


@pytest.mark.parametrize(
    "kind", ["truncated", "damaged", "text", "empty", "a column less", "a column of another type", "another table"]
)
def test_a_file_that_is_no_part_is_named_and_what_came_before_it_is_kept(tmp_path: Path, kind: str) -> None:
    write_replies(tmp_path / "1.parquet", [reply(n) for n in range(5)])
    said = not_merged(tmp_path / "s.sqlite", tmp_path / "1.parquet", unreadable(tmp_path, kind))
    assert "2.parquet cannot be read as a part" in said
    assert "why: " in said
    assert "1.parquet" not in said
    assert replies_of(tmp_path / "s.sqlite") == sorted((reply(n) for n in range(5)), key=lambda kept: kept.key)


def test_an_import_that_fails_half_way_says_where_and_keeps_what_came_before(tmp_path: Path, run: Run) -> None:
    write_replies(tmp_path / "1.parquet", [reply(n) for n in range(5)])
    bad = edited(tmp_path / "1.parquet", tmp_path / "2.parquet", status="splendid")
    said = refused(run, "import", tmp_path / "s.sqlite", tmp_path / "1.parquet", bad)
    assert "2.parquet, row 3: not a reply" in said
    assert "splendid" in said
    torn = unreadable(tmp_path, "truncated")
    assert "2.parquet cannot be read as a part" in refused(run, "import", tmp_path / "s.sqlite", torn)
    assert len(replies_of(tmp_path / "s.sqlite")) == 5


def test_a_part_that_is_not_there_is_an_error_and_no_store_is_made_for_it(tmp_path: Path, run: Run) -> None:
    assert "does not exist" in refused(run, "import", tmp_path / "s.sqlite", tmp_path / "1.parquet")
    assert "holds no part" in refused(run, "import", tmp_path / "s.sqlite", tmp_path)
    assert not (tmp_path / "s.sqlite").exists()


def test_an_import_into_a_store_that_a_run_holds_is_refused(tmp_path: Path, run: Run) -> None:
    write_replies(tmp_path / "1.parquet", [reply(1)])
    with open_store(tmp_path / "s.sqlite"):
        assert "is in use" in refused(run, "import", tmp_path / "s.sqlite", tmp_path / "1.parquet")
        assert run("traces", "export", tmp_path / "s.sqlite", tmp_path / "out.parquet").returncode == 0


def test_an_export_that_cannot_be_written_is_an_error(tmp_path: Path, run: Run) -> None:
    store = filled(tmp_path / "s.sqlite", reply(1))
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(run, "export", store, tmp_path)
    assert "cannot be written" in refused(run, "export", store, tmp_path / "file" / "out.parquet")
    assert "there is no store" in refused(run, "export", tmp_path / "none.sqlite", tmp_path / "out.parquet")


def test_an_export_of_nothing_can_be_imported(tmp_path: Path, run: Run) -> None:
    store = filled(tmp_path / "s.sqlite")
    done = run("traces", "export", store, tmp_path / "out.parquet")
    assert done.stdout == f"0 replies, in {tmp_path / 'out.parquet'}\n"
    done = run("traces", "import", tmp_path / "other.sqlite", tmp_path / "out.parquet")
    assert done.returncode == 0, done.stderr
