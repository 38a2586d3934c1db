"""Parts: requests and replies travel as they are, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety_reasoning.builders.calls import Reply, Request, Status, Step
from safety_reasoning.builders.parts import merge, read_replies, read_requests, write_replies, write_requests
from safety_reasoning.builders.recipe import Sampling
from safety_reasoning.builders.store import open_store
from safety_reasoning.errors import UsageError
from tests.conftest import ROOT

KEYS = st.binary(min_size=16, max_size=16).map(bytes.hex)
NAMES = st.text(st.characters(exclude_categories=["Cs"]))
# A high surrogate before a low one is one character to JSON, so that no server can send the two apart.
TEXTS = st.text(st.characters()).map(lambda text: json.loads(json.dumps(text)))
SMALL = st.integers(min_value=0, max_value=2**31 - 1)
LARGE = st.integers(min_value=0, max_value=2**63 - 1)
SECONDS = st.floats(min_value=0, max_value=1e6)
EXTRA = st.dictionaries(NAMES, st.recursive(st.booleans() | SMALL | NAMES, st.lists), max_size=3)
SAMPLINGS = st.builds(Sampling, temperature=SECONDS, max_tokens=st.integers(1, 9999), seed=SMALL, extra_body=EXTRA)

IDENTITY: dict[str, Any] = {
    "key": KEYS,
    "sample_key": KEYS,
    "teacher": NAMES,
    "step": st.sampled_from(Step),
    "sample_index": SMALL,
    "attempt": SMALL,
}
REQUESTS = st.builds(
    Request,
    **IDENTITY,
    model=NAMES,
    text=st.text(st.characters()),
    head=st.text(st.characters()),
    sampling=SAMPLINGS,
    grammar=NAMES,
)
REPLIES = st.builds(
    Reply,
    **IDENTITY,
    status=st.sampled_from(Status),
    reasoning=st.none() | TEXTS,
    answer=TEXTS,
    finish_reason=NAMES,
    model=NAMES,
    prompt_tokens=LARGE,
    completion_tokens=LARGE,
    latency_s=SECONDS,
    cost_usd=st.none() | SECONDS,
    error=TEXTS,
)


def reply(number: int, **changes: Any) -> Reply:
    key = f"{number:032x}"
    return Reply(
        **{"key": key, "sample_key": key, "teacher": "a", "step": Step.FULL, "status": Status.OK, "answer": "x"}
        | changes
    )


@settings(deadline=None)
@given(requests=st.lists(REQUESTS, max_size=5))
def test_requests_come_out_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, requests: list[Request]) -> None:
    path = tmp_path_factory.mktemp("parts") / "x.parquet"
    assert write_requests(path, requests) == len(requests)
    assert list(read_requests(path)) == requests


@settings(deadline=None)
@given(replies=st.lists(REPLIES, max_size=5))
def test_replies_come_out_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, replies: list[Reply]) -> None:
    path = tmp_path_factory.mktemp("parts") / "x.parquet"
    assert write_replies(path, iter(replies)) == len(replies)
    assert list(read_replies(path)) == replies


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00", "x" * 5_000_000, "", "null", '"quoted"', "\\ud800"])
def test_odd_texts_come_out_as_they_went_in(tmp_path: Path, text: str) -> None:
    odd = [reply(1, reasoning=text, answer=text, error=text), reply(2, reasoning=None, answer=text), reply(3)]
    write_replies(tmp_path / "x.parquet", odd)
    assert list(read_replies(tmp_path / "x.parquet")) == odd


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
def test_a_part_of_any_length_is_whole_and_in_order(tmp_path: Path, count: int) -> None:
    assert write_replies(tmp_path / "x.parquet", (reply(n) for n in range(count))) == count
    assert [kept.key for kept in read_replies(tmp_path / "x.parquet")] == [reply(n).key for n in range(count)]


def test_any_reader_of_parquet_can_read_a_part(tmp_path: Path) -> None:
    write_replies(tmp_path / "x.parquet", [reply(1, reasoning="Because.", cost_usd=0.5)])
    (row,) = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert (row["step"], row["status"], row["reasoning"], row["cost_usd"]) == ("full", "ok", "Because.", 0.5)


@pytest.mark.parametrize("after", [0, 1, 1500])
def test_what_fails_while_a_part_is_written_leaves_no_file(tmp_path: Path, after: int) -> None:
    def breaks() -> Iterator[Reply]:
        yield from (reply(n) for n in range(after))
        raise RuntimeError("the engine is gone")

    with pytest.raises(RuntimeError, match="gone"):
        write_replies(tmp_path / "x.parquet", breaks())
    assert list(tmp_path.iterdir()) == []


def test_what_fails_leaves_the_part_that_was_there(tmp_path: Path) -> None:
    write_replies(tmp_path / "x.parquet", [reply(1)])
    with pytest.raises(ZeroDivisionError):
        write_replies(tmp_path / "x.parquet", (reply(1 // (2 - n)) for n in range(3)))
    assert list(read_replies(tmp_path / "x.parquet")) == [reply(1)]


WRITE = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from safety_reasoning.builders.parts import write_replies
from tests.test_parts import reply
def slowly():
    for n in range(1_000_000):
        yield reply(n, answer=str(n) * 100)
        if n == 2500:
            print("writing", flush=True)
write_replies(Path(sys.argv[1]) / "x.parquet", slowly())
"""


def test_killed_while_it_is_written_a_part_does_not_appear(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(tmp_path), str(ROOT)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    assert list(tmp_path.iterdir()) != []  # under another name
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(tmp_path.glob("*.parquet")) == []
    write_replies(tmp_path / "x.parquet", [reply(1)])
    assert list(read_replies(tmp_path / "x.parquet")) == [reply(1)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "x.parquet").mkdir()
    (tmp_path / "full").mkdir()
    aside = tmp_path / "full" / f".x.parquet.{os.getpid()}.tmp"
    aside.symlink_to("/dev/full")  # a full disk
    for path in (tmp_path / "x.parquet", tmp_path / "file" / "x.parquet", tmp_path / "full" / "x.parquet"):
        with pytest.raises(UsageError, match=r"x\.parquet cannot be written"):
            write_replies(path, [reply(1)])
    assert not aside.is_symlink()


def test_merging_counts_what_is_new_and_what_was_there(tmp_path: Path) -> None:
    one, two, none = tmp_path / "1.parquet", tmp_path / "2.parquet", tmp_path / "none.parquet"
    write_replies(one, [reply(n, answer="one") for n in range(1500)])
    write_replies(two, [*(reply(n, answer="two") for n in range(1000, 2500)), reply(2000, answer="again")])
    write_replies(none, [])
    with open_store(tmp_path / "s.sqlite") as store:
        store.append([reply(0, answer="first"), reply(2499, answer="first")])
        assert merge(store, []) == (0, 0)
        assert merge(store, [one, two]) == (1499 + 999, 1 + 502)
        assert merge(store, [two, one]) == (0, 3001)
        answers = {int(kept.key, 16): kept.answer for kept in store}
        assert len(store) == len(answers) == 2500
    assert [answers[n] for n in (0, 1, 1499, 1500, 2000, 2499)] == ["first", "one", "one", "two", "two", "first"]


@settings(deadline=None)
@given(lists=st.lists(st.lists(st.integers(0, 20), max_size=10), max_size=4), there=st.sets(st.integers(0, 20)))
def test_a_merge_is_the_union(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[int]], there: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    parts = [folder / f"{n}.parquet" for n in range(len(lists))]
    for part, numbers in zip(parts, lists, strict=True):
        write_replies(part, map(reply, numbers))
    union = there.union(*lists)
    with open_store(folder / "s.sqlite") as store:
        store.append(map(reply, there))
        new, seen = merge(store, [part for part in parts if part.exists()])
        assert {int(kept.key, 16) for kept in store} == union
        assert [tally.replies for tally in store.tallies()] == ([len(union)] if union else [])
    assert (new, new + seen) == (len(union - there), sum(map(len, lists)))
