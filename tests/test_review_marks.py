"""Marks in the store: which count, and that none is lost."""

import dataclasses
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from safety_reasoning.builders.prompts import rubric_modes
from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.store import open_store, view_store
from safety_reasoning.errors import UsageError
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.review.marks import KEYS, OTHER, explained, mode_marked, standing, words
from safety_reasoning.review.marks_store import open_marks, read_marks
from tests.reviews import drawn, fill, mark_of, review_recipe, save_marks, teacher_says
from tests.stores import reply


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return fill(review_recipe(tmp_path, 4), teacher_says)


def store_of(recipe: Recipe) -> Path:
    return Path(recipe.release.store)


def test_there_is_a_mode_and_a_key_for_everything_that_a_filter_or_the_judge_may_find() -> None:
    assert {mode_marked(reason) for reason in (*Drop, *rubric_modes())} | {OTHER} == set(KEYS)
    assert mode_marked("judge_unfounded") == "unfounded"
    assert len(set(KEYS.values())) == len(KEYS)
    assert not set(KEYS.values()) & {"c", "n", "u", "/", "?", " "}
    assert all(len(key) == 1 and key in mode for mode, key in KEYS.items() if mode != OTHER)
    assert all(words(mode) for mode in KEYS)
    assert {mode for mode in KEYS if explained(mode)} == set(rubric_modes())


def test_a_mark_is_read_as_it_was_saved(recipe: Recipe) -> None:
    assert read_marks(store_of(recipe)) == []
    one, other, *_ = drawn(recipe)
    marks = [
        mark_of(one, "Zoë <b>", "label_leak", "other", note="a\nb \u202e {x}", marked_at=12.5),
        mark_of(other, "Zoë <b>"),
    ]
    save_marks(recipe, marks)
    assert read_marks(store_of(recipe)) == marks
    with open_marks(store_of(recipe)) as store:
        assert store.of("Zoë <b>") == marks
        assert store.of("Ben") == []


def test_the_latest_mark_of_a_reviewer_counts_and_older_ones_are_kept(recipe: Recipe) -> None:
    one, other, *_ = drawn(recipe)
    first = mark_of(one, "Anna", "label_leak", marked_at=9.0)
    second = mark_of(one, "Anna", "truncated", marked_at=3.0)  # a clock may go back: the order of saving counts
    taken_back = [mark_of(other, "Anna", "too_long"), dataclasses.replace(mark_of(other, "Anna"), modes=None)]
    ben = mark_of(one, "Ben")
    save_marks(recipe, [first, second, *taken_back, ben])
    marks = read_marks(store_of(recipe))
    assert len(marks) == 5
    assert standing(marks) == [second, ben]


def test_a_store_with_marks_serves_runs_as_before(recipe: Recipe) -> None:
    save_marks(recipe, [mark_of(drawn(recipe)[0], "Anna")])
    with open_store(store_of(recipe)) as store:
        before = len(store)
        assert store.append([reply(1)]) == 1
        assert len(list(store)) == before + 1
    assert len(read_marks(store_of(recipe))) == 1


def test_marks_are_saved_while_a_run_writes_to_the_store(recipe: Recipe) -> None:
    one = drawn(recipe)[0]
    stop = threading.Event()

    def write() -> int:
        count = 0
        while not stop.is_set():
            count += store.append([reply(count)])
        return count

    with open_store(store_of(recipe)) as store, open_marks(store_of(recipe)) as marks:
        counts: list[int] = []
        run = threading.Thread(target=lambda: counts.append(write()))
        run.start()
        for n in range(50):
            marks.save(mark_of(one, f"reviewer {n}"))
        stop.set()
        run.join(timeout=30)
    assert counts[0] > 0
    assert len(read_marks(store_of(recipe))) == 50


def test_a_locked_store_is_told_and_takes_the_mark_afterwards(recipe: Recipe) -> None:
    mark = mark_of(drawn(recipe)[0], "Anna")
    with open_marks(store_of(recipe)) as marks:
        other = sqlite3.connect(store_of(recipe))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UsageError, match="database is locked"):
            marks.save(mark)
        other.rollback()
        other.close()
        assert read_marks(store_of(recipe)) == []
        marks.save(mark)
    assert read_marks(store_of(recipe)) == [mark]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.errors import UsageError
from safety_reasoning.review.marks_store import open_marks
from tests.reviews import drawn, mark_of
recipe = load_recipe(Path(sys.argv[1]))
one = drawn(recipe)[0]
with open_marks(Path(recipe.release.store)) as marks:
    marks.save(mark_of(one, "first"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        marks.save(mark_of(one, "second", note="x" * 9000))
    except UsageError as error:
        print("told:", error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    marks.save(mark_of(one, "third"))
"""


def test_a_full_disk_is_told_and_loses_no_mark(tmp_path: Path) -> None:
    path = review_recipe(tmp_path, 4)
    recipe = fill(path, teacher_says)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    assert "told: the marks in" in done.stdout
    assert [mark.reviewer for mark in read_marks(store_of(recipe))] == ["first", "third"]


def test_a_damaged_table_of_marks_is_told(recipe: Recipe) -> None:
    with sqlite3.connect(store_of(recipe)) as db:
        db.execute("CREATE TABLE marks (something TEXT)")
    with pytest.raises(UsageError, match="marks in"):
        read_marks(store_of(recipe))
    with view_store(store_of(recipe)) as store:
        assert len(store)
