"""The `ray` engine on a real cluster of this machine, with two workers, against a live scripted teacher."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from safety_reasoning.builders.calls import Reply, Request, Status, Step
from safety_reasoning.builders.parts import read_replies, write_requests
from safety_reasoning.builders.recipe import Sampling, TeacherRecipe
from safety_reasoning.builders.teachers.protocol import TeacherStopped
from safety_reasoning.builders.teachers.ray import RayTeacher, _Actor, _Secret
from safety_reasoning.errors import UsageError
from tests.conftest import LiveTeacher, openai_teacher, serving

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the [ray] extra is not installed")
pytestmark = pytest.mark.timeout(400)
# 15 by default: a test beside these would starve Ray's workers
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's own spelling
Start = Callable[..., LiveTeacher]
Open = Callable[..., RayTeacher]
MARK = "mention-of-a-hostile-text"
KEY = "key-that-is-shown-nowhere"
DEAD = "http://127.0.0.1:9/v1"


def recipe(url: str, **changes: Any) -> TeacherRecipe:
    changes = {"engine": "ray", "concurrency": 8} | changes
    return TeacherRecipe.model_validate(openai_teacher("a", url, **changes))


def request(number: int) -> Request:
    key = blake2b(str(number).encode(), digest_size=16).hexdigest()
    text = f"Topic label: on-topic\n{MARK} {number} \ud83d </s> {{{{x}}}} \0 ‮"
    return Request(
        key=key, sample_key=key, teacher="a", step=Step.FULL, model="scripted-a", text=text, sampling=Sampling()
    )


class Wave:
    """A folder of requests, and the replies that came back."""

    def __init__(self, folder: Path, count: int) -> None:
        self.count, self.requests, self.replies = count, folder / "requests", folder / "replies"
        for first in range(0, count, 100):
            part = self.requests / f"{first:06}.parquet"
            write_requests(part, map(request, range(first, min(first + 100, count))))

    def parts(self) -> list[Path]:
        return sorted(self.replies.glob("*.parquet"))

    def read(self) -> list[Reply]:
        return [reply for part in self.parts() for reply in read_replies(part)]

    def answered_by(self, teacher: RayTeacher) -> Counter[str]:
        return teacher.answer(self.requests, self.replies, threading.Event())

    def while_asked(self, teacher: RayTeacher, act: Callable[[threading.Event], None]) -> Counter[str]:
        """Answer in a thread, as a run does, with `act` meanwhile."""
        stop, outcome = threading.Event(), list[Counter[str]]()
        asking = threading.Thread(target=lambda: outcome.append(teacher.answer(self.requests, self.replies, stop)))
        asking.start()
        act(stop)
        asking.join(timeout=200)
        return outcome[0]


def until(happened: Callable[[], bool], seconds: float = 150) -> bool:
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    return happened()


def descendants(pid: int) -> dict[int, str]:
    """The processes below this one, with their command lines."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(folder.name)] = command_line(int(folder.name))
        except OSError:
            continue  # ended meanwhile
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return {child: lines[child] for child in found - {pid}}


def command_line(pid: int) -> str:
    """That of a process; none of one that ended, or that its parent has yet to notice."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


@pytest.fixture
def opened(cluster: RayTeacher) -> Iterator[Callable[..., RayTeacher]]:
    """Another teacher on the same cluster: `opened(url, concurrency=2)`."""
    teachers: list[RayTeacher] = []

    def open_one(url: str, **changes: Any) -> RayTeacher:
        teachers.append(RayTeacher(recipe(url, **changes)))
        return teachers[-1]

    yield open_one
    for teacher in teachers:
        teacher.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayTeacher]:
    """A teacher that stays connected, so that the tests share one cluster."""
    with serving(busy=0.05, failing=0.05, reset=0.05, delay_s=0.02, retry_after_s=0.05) as live:
        teacher = RayTeacher(recipe(live.url))
        teacher.live = live  # type: ignore[attr-defined]
        yield teacher
        teacher.close()
    assert until(lambda: not [line for line in descendants(os.getpid()).values() if "ray::" in line], 10)


@needs_ray
def test_every_request_has_one_reply_from_both_workers_while_the_run_goes_on(
    cluster: RayTeacher, tmp_path: Path
) -> None:
    wave, early = Wave(tmp_path, 500), list[int]()
    unfinished = wave.while_asked(
        cluster, lambda _: early.append(until(lambda: bool(wave.parts())) and len(wave.read()))
    )
    assert not unfinished
    assert 0 < early[0] < wave.count
    assert Counter(reply.key for reply in wave.read()) == Counter(request(n).key for n in range(wave.count))
    assert {reply.status for reply in wave.read()} == {Status.OK}
    assert len({part.name.partition("-")[0] for part in wave.parts()}) == 2
    texts = [f"scripted-a\0{request(n).text}".encode("utf-8", "surrogatepass") for n in range(wave.count)]
    assert cluster.live.server.answered.keys() == {sha256(text).hexdigest() for text in texts}  # type: ignore[attr-defined]
    assert sorted(wave.replies.iterdir()) == wave.parts()


@needs_ray
def test_a_worker_that_is_killed_is_replaced_and_its_rows_asked_again(
    opened: Open, teacher: Start, tmp_path: Path
) -> None:
    wave, live = Wave(tmp_path, 300), teacher(delay_s=0.1)

    def kill(_: threading.Event) -> None:
        assert until(lambda: live.server.calls > 40)
        workers = [pid for pid, line in descendants(os.getpid()).items() if "MapWorker" in line]
        os.kill(workers[0], signal.SIGKILL)

    assert not wave.while_asked(opened(live.url), kill)
    assert {reply.key for reply in wave.read()} == {request(n).key for n in range(wave.count)}


@needs_ray
def test_a_refused_key_stops_the_teacher_and_is_shown_nowhere(
    opened: Open, teacher: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TEST_KEY", KEY)
    live = teacher(api_key="another")
    refused = opened(live.url, api_key_env="RAY_TEST_KEY")
    with pytest.raises(TeacherStopped, match=r"refuses the key \(HTTP 401\); it is read from RAY_TEST_KEY") as stopped:
        Wave(tmp_path, 300).answered_by(refused)
    assert live.server.calls <= 2 * 8
    assert KEY not in "".join(traceback.format_exception(stopped.value))
    assert KEY not in repr(vars(refused))


@needs_ray
def test_a_server_that_is_not_there_is_given_up(opened: Open, tmp_path: Path) -> None:
    wave = Wave(tmp_path, 200)
    unfinished = wave.answered_by(opened(DEAD, attempts=1))
    assert unfinished.keys() <= {"no connection", "not asked"}
    assert unfinished["no connection"] >= 16
    assert unfinished.total() == wave.count
    assert not wave.parts()


@needs_ray
def test_a_run_that_is_stopped_returns_with_what_is_finished(opened: Open, teacher: Start, tmp_path: Path) -> None:
    wave, live = Wave(tmp_path, 2000), teacher(delay_s=0.2)

    def stop_it(stop: threading.Event) -> None:
        assert until(lambda: live.server.answered.total() > 40)
        stop.set()

    assert not wave.while_asked(opened(live.url), stop_it)
    assert 40 - 2 * 8 < len(wave.read()) < 1000


@needs_ray
def test_no_key_and_no_text_is_in_what_ray_writes(cluster: RayTeacher) -> None:
    node = importlib.import_module("ray")._private.worker._global_node
    written = [path for path in Path(node.get_session_dir_path()).rglob("*") if path.is_file()]
    shown = list(descendants(os.getpid()).values())
    assert written
    for words in (KEY, MARK):
        assert not [path for path in written if words.encode() in path.read_bytes()]
        assert not [line for line in shown if words in line]


@needs_ray
def test_sigterm_is_left_to_the_run(cluster: RayTeacher) -> None:
    status = Path("/proc/self/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    assert not caught >> (signal.SIGTERM - 1) & 1


@needs_ray
def test_teachers_of_one_run_share_one_cluster(opened: Open, cluster: RayTeacher, tmp_path: Path) -> None:
    elsewhere = opened(DEAD, ray={"address": "auto"})
    with pytest.raises(UsageError, match="another teacher's is 'local'"):
        Wave(tmp_path, 1).answered_by(elsewhere)


@needs_ray
def test_a_driver_that_is_killed_leaves_parts_that_can_be_read_and_no_process(teacher: Start, tmp_path: Path) -> None:
    wave, live = Wave(tmp_path, 2000), teacher(delay_s=0.05)
    script = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from safety_reasoning.builders.recipe import TeacherRecipe\n"
        "from safety_reasoning.builders.teachers.ray import RayTeacher\n"
        "teacher = RayTeacher(TeacherRecipe.model_validate_json(sys.argv[1]))\n"
        "teacher.answer(Path(sys.argv[2]), Path(sys.argv[3]), threading.Event())\n"
    )
    arguments = [recipe(live.url).model_dump_json(), wave.requests, wave.replies]
    driver = subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    try:
        assert until(lambda: bool(wave.parts()))
        below = descendants(driver.pid)
    finally:
        driver.kill()
    _, errors = driver.communicate()
    assert errors == ""
    assert sum("MapWorker" in line for line in below.values()) == 2
    busy = {pid: line for pid, line in below.items() if "agent" not in line.lower()}  # Ray's agents end after a minute
    assert until(lambda: not [pid for pid, line in busy.items() if command_line(pid) == line])
    assert {reply.status for reply in wave.read()} == {Status.OK}


def test_a_fault_in_a_worker_is_named_without_the_text_that_it_quotes(tmp_path: Path) -> None:
    class Faulty:
        async def ask(self, request: Request) -> Reply:
            raise ValueError(request.text)

    async def one_block() -> None:
        actor = _Actor(recipe(DEAD), _Secret(""), tmp_path, tmp_path / "stop")
        actor._teacher = Faulty()  # type: ignore[assignment]
        await actor(pq.read_table(Wave(tmp_path, 1).requests))

    with pytest.raises(RuntimeError, match="a worker failed with ValueError") as fault:
        asyncio.run(one_block())
    assert MARK not in "".join(traceback.format_exception(fault.value))


def test_a_disk_that_cannot_be_written_stops_the_teacher_and_says_so(tmp_path: Path) -> None:
    class Quick:
        async def ask(self, request: Request) -> Reply:
            return request.reply(Status.OK, answer="on-topic")

    async def one_block() -> Any:
        actor = _Actor(recipe(DEAD), _Secret(""), tmp_path / "file", tmp_path / "stop")
        actor._teacher = Quick()  # type: ignore[assignment]
        return await actor(pq.read_table(Wave(tmp_path, 1).requests))

    (tmp_path / "file").touch()
    assert "file" in asyncio.run(one_block())["refusal"][0].as_py()


def test_an_address_that_cannot_work_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="does not work through Ray's client"):
        RayTeacher(recipe(DEAD, ray={"address": "ray://127.0.0.1:10001"}))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"safety-reasoning\[ray\]"):
        RayTeacher(recipe(DEAD))
