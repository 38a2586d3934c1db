"""The store: what is committed stays, whatever happens."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.calls import Call, Reply, Status
from safety_reasoning.builders.questions import full_call
from safety_reasoning.builders.recipe import TeacherRecipe
from safety_reasoning.builders.sources.aegis import to_sample
from safety_reasoning.builders.store import open_store
from safety_reasoning.errors import UsageError
from tests.conftest import ROOT, aegis_row, openai_teacher

TEACHER = TeacherRecipe.model_validate(openai_teacher("a", "http://127.0.0.1:1/v1"))


def call(prompt: str = "x") -> Call:
    return full_call(to_sample(aegis_row(prompt=prompt), {}), TEACHER)


def reply(asked: Call, reasoning: str | None = "why", answer: str = "yes") -> Reply:
    return asked.request(asked.key).reply(
        Status.OK,
        reasoning=reasoning,
        answer=answer,
        finish_reason="stop",
        model="m",
        prompt_tokens=3,
        completion_tokens=4,
        latency_s=0.25,
        error="",
    )


def test_a_reply_comes_back_as_it_went_in_after_reopening(tmp_path: Path) -> None:
    texts = ["", "\x00 nul", "\ud800 half", "\u202e right to left", "x" * 1_000_000, "</think>{response}"]
    answered = [reply(call(t), t, t) for t in texts if t.isascii()] + [
        reply(call(str(n)), t, t) for n, t in enumerate(texts)
    ]
    with open_store(tmp_path / "s.sqlite") as store:
        store.append(answered)
    with open_store(tmp_path / "s.sqlite") as store:
        assert [store.get(kept.key) for kept in answered] == answered
        assert len(store) == len(answered)


@given(reasoning=st.none() | st.text(st.characters()), answer=st.text(st.characters()))
def test_any_text_round_trips(tmp_path_factory: pytest.TempPathFactory, reasoning: str | None, answer: str) -> None:
    asked = call()
    with open_store(tmp_path_factory.mktemp("store") / "s.sqlite") as store:
        store.append([reply(asked, reasoning, answer)])
        assert store.get(asked.key) == reply(asked, reasoning, answer)


def test_a_key_is_written_once(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.sqlite") as store:
        store.append([reply(call(), "first")])
        store.append([reply(call(), "second")])
        kept = store.get(call().key)
    assert kept is not None
    assert kept.reasoning == "first"


def test_a_call_without_a_reply_is_not_there(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.sqlite") as store:
        assert store.get(call().key) is None
        assert call().key not in store


@pytest.mark.parametrize("kind", ["text", "foreign", "foreign but empty", "newer", "folder"])
def test_what_is_no_store_of_ours_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s.sqlite"
    if kind == "text":
        path.write_text("no database at all, but long enough to be read as one" * 20, encoding="utf-8")
    elif kind == "folder":
        path.mkdir()
    elif kind == "foreign but empty":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA application_id = 7")
    else:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE mine (x)")
            if kind == "newer":
                db.execute(f"PRAGMA application_id = {0x53524541}")
                db.execute("PRAGMA user_version = 99")
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UsageError, match=r"s\.sqlite"), open_store(path):
        pass
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_second_run_is_kept_away(tmp_path: Path) -> None:
    with (
        open_store(tmp_path / "s.sqlite"),
        pytest.raises(UsageError, match="is in use"),
        open_store(tmp_path / "s.sqlite"),
    ):
        pass


@pytest.mark.parametrize("damage", ["body = x'00'", "status = 'unheard of'"])
def test_a_damaged_reply_is_an_error_that_names_the_store(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "s.sqlite"
    with open_store(path) as store:
        store.append([reply(call())])
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE replies SET {damage}")  # noqa: S608 - a constant of this test
    with open_store(path) as store, pytest.raises(UsageError, match=r"s\.sqlite is damaged"):
        store.get(call().key)


def test_a_damaged_page_is_an_error_that_names_the_store(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    asked = [call(str(n)) for n in range(500)]
    with open_store(path) as store:
        store.append([reply(c, c.key * 20) for c in asked])
    whole = path.read_bytes()
    path.write_bytes(whole[:12_288] + bytes(len(whole) - 12_288))
    with pytest.raises(UsageError, match=r"s\.sqlite"), open_store(path) as store:
        for c in asked:
            store.get(c.key)


def test_another_process_is_kept_away(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    code = "import sys\nfrom pathlib import Path\nfrom safety_reasoning.builders.store import open_store\n"
    code += "with open_store(Path(sys.argv[1])): pass"
    with open_store(path):
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "is in use" in done.stderr
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_place_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(UsageError, match="cannot be opened"), open_store(Path("/proc/nowhere/s.sqlite")):
        pass


APPEND = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from safety_reasoning.builders.store import open_store
from tests.test_store import call, reply
with open_store(Path(sys.argv[1])) as store:
    for n in range(100_000):
        asked = call(str(n))
        store.append([reply(asked, "x" * 2000)])
        print(asked.key, flush=True)
"""


@pytest.mark.parametrize("after", [1, 200, 1000])
def test_what_was_committed_survives_kill_9(tmp_path: Path, after: int) -> None:
    path = tmp_path / "s.sqlite"
    process = subprocess.Popen([sys.executable, "-c", APPEND, str(path), str(ROOT)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(after)]
    process.send_signal(signal.SIGKILL)
    told += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    with open_store(path) as store:
        assert all(key in store for key in told)
        assert len(store) <= len(told) + 1


FILL = """
import json, resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import os
from safety_reasoning.builders.store import open_store
from safety_reasoning.errors import UsageError
from tests.test_store import call, reply
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
kept = 0
try:
    with open_store(Path(sys.argv[1])) as store:
        for n in range(10_000):
            asked = call(str(n))
            store.append([reply(asked, os.urandom(3000).hex())])
            kept += 1
except UsageError as error:
    print(json.dumps({"kept": kept, "said": str(error)}))
"""


def test_a_full_disk_is_an_error_and_what_was_written_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path), str(ROOT)], capture_output=True, text=True, check=False
    )
    told = json.loads(done.stdout)
    assert told["kept"] > 10
    assert "cannot be written" in told["said"]
    assert "run again" in told["said"]
    with open_store(path) as store:
        assert len(store) >= told["kept"]


def test_tallies_count_by_teacher_step_and_status(tmp_path: Path) -> None:
    bad = call("bad").request(call("bad").key).reply(Status.TRUNCATED)
    with open_store(tmp_path / "s.sqlite") as store:
        store.append([reply(call()), bad])
        tallies = [(t.teacher, t.step, t.status, t.replies, t.completion_tokens) for t in store.tallies()]
    assert tallies == [("a", "full", "ok", 1, 4), ("a", "full", "truncated", 1, 0)]


def test_a_key_changes_with_whatever_shapes_the_answer_and_with_nothing_else() -> None:
    def key(prompt: str = "x", **changes: object) -> str:
        teacher = TeacherRecipe.model_validate(openai_teacher("a", "http://127.0.0.1:1/v1") | changes)
        return full_call(to_sample(aegis_row(prompt=prompt), {}), teacher).key

    same = [key(), key(base_urls=["http://127.0.0.1:2/v1"]), key(concurrency=3, timeout_s=5.0, attempts=1)]
    other = [key("y"), key(model="m2"), key(full={"temperature": 1.0}), key(full={"seed": 1}), key(name="b")]
    assert len(set(same)) == 1
    assert len({same[0], *other}) == 1 + len(other)
