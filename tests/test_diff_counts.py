"""The counts of a diff, held against a comparison of the rows one by one."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safety_reasoning.hub.diff import diff
from safety_reasoning.hub.diff_rows import Flip, RowChanges
from tests.releases import CONTENT, TOPIC, Row, content, topic, write_lines, write_tables

TEXT = st.sampled_from(["", "a", "b", "It is ordinary.", "x\0y", "null"])
FLAG = st.sampled_from([True, False, None])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["1", "2", "3"]),
        "prompt": TEXT,
        "response": st.none() | TEXT,
        "prompt_label": st.sampled_from(["safe", "unsafe"]),
        "response_label": st.sampled_from(["safe", "unsafe", None]),
        "reconstruction_id_if_redacted": st.none() | st.integers(-5, 5),
        "safety_reasoning_a": st.none() | TEXT,
        "prediction_gt_mismatch_a": FLAG,
    },
)
SIDE = st.lists(CHANGES, min_size=1, max_size=6).map(lambda all_: [content(1) | changes for changes in all_])


def by_key(rows: list[Row]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault((row["id"], row["prompt"], row["response"]), []).append(row)
    return found


def paired(old: list[Row], new: list[Row]) -> tuple[list[tuple[Row, Row]], int, int]:
    """(pairs of another content, rows removed, rows added): equal rows first, the rest in their order."""
    changed, removed, added = [], 0, 0
    olds, news = by_key(old), by_key(new)
    for key in olds.keys() | news.keys():
        before, after = list(olds.get(key, [])), list(news.get(key, []))
        for row in list(before):
            if row in after:
                before.remove(row)
                after.remove(row)
        changed += list(zip(before, after, strict=False))
        removed += max(len(before) - len(after), 0)
        added += max(len(after) - len(before), 0)
    return changed, removed, added


def word(value: object) -> str | None:
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else None


def flips(found: tuple[Flip, ...], column: str) -> Counter[tuple[str | None, str | None]]:
    return Counter({(flip.old, flip.new): flip.rows for flip in found if flip.column == column})


def repeats(rows: list[Row]) -> int:
    return len(rows) - len(by_key(rows))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(old=SIDE, new=SIDE, as_lines=st.booleans())
def test_counts_are_those_of_the_rows_one_by_one(old: list[Row], new: list[Row], as_lines: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        was = write_tables(Path(folder) / "old", {CONTENT: old})
        now = (write_lines if as_lines else write_tables)(Path(folder) / "new", {CONTENT: new})
        found = diff(str(was), str(now), samples=10)
    changed, removed, added = paired(old, new)
    rows: RowChanges = found.configs[0].rows
    assert (rows.before, rows.after) == (len(old), len(new))
    assert (rows.changed, rows.removed, rows.added) == (len(changed), removed, added)
    assert (rows.repeated_before, rows.repeated_after) == (repeats(old), repeats(new))
    columns = Counter(name for before, after in changed for name in before if before[name] != after[name])
    assert rows.columns == columns
    for name in ("prompt_label", "response_label"):
        assert flips(rows.labels, name) == Counter((b[name], a[name]) for b, a in changed if b[name] != a[name])
    flag = "prediction_gt_mismatch_a"
    expected = Counter((word(b[flag]), word(a[flag])) for b, a in changed if b[flag] != a[flag])
    assert flips(rows.mismatches, flag) == expected
    assert found.configs[0].schema == ()
    assert (len(rows.added_samples), len(rows.removed_samples)) == (min(added, 10), min(removed, 10))


@pytest.mark.parametrize("as_lines", [False, True], ids=["parquet", "json lines"])
def test_more_rows_than_a_piece_holds_are_compared_in_their_order(tmp_path: Path, as_lines: bool) -> None:
    write = write_lines if as_lines else write_tables
    rows = [topic(n) for n in range(4500)]
    old = write(tmp_path / "old", {TOPIC: rows})
    changed = [
        row | {"safety_reasoning_trace_a": "Rewritten."} if n in (10, 4400) else row for n, row in enumerate(rows)
    ]
    new = write_tables(tmp_path / "new", {TOPIC: [topic(9999), *changed[1:]]})
    found = diff(str(old), str(new)).configs[0].rows
    assert (found.before, found.after, found.added, found.removed, found.changed) == (4500, 4500, 1, 1, 2)
    assert [sample.row for sample in found.changed_samples] == [11, 4401]
    assert [sample.begins for sample in found.changed_samples] == [
        "Who won match number 10?",
        "Who won match number 4400?",
    ]
    assert [sample.row for sample in (*found.added_samples, *found.removed_samples)] == [1, 1]
