"""The `ray` engine: a wave of requests, spread by Ray Data over the actors of a cluster.

Every actor asks its rows through a teacher of its own, `concurrency` at a time, and writes the parts of replies
itself: nothing of a prompt or a reply passes through the driver, and none is logged. Rows come to an actor in blocks,
and more blocks are open in it than calls are in flight, so that a call that takes long holds up no other.

With `base_urls` that teacher is an `OpenAITeacher`, without a `VllmTeacher` with GPUs of its own. Ray's own LLM
processor is not used: it drops why a reply ended, so that a truncated one would pass for whole, has one chat template
for both steps, starts no model without a GPU and logs errors that may quote a prompt. Ray's HTTP processor sends one
call at a time.
"""

import asyncio
import ctypes
import importlib
import importlib.util
import logging
import math
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.builders.calls import Reply
from safety_reasoning.builders.parts import request_of, write_replies
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.teachers.openai import OpenAITeacher, api_key
from safety_reasoning.builders.teachers.protocol import CallUnfinished, Teacher, TeacherStopped
from safety_reasoning.builders.teachers.vllm import VllmTeacher
from safety_reasoning.errors import UsageError, missing_extra

_BLOCK = 64
"""Rows in a block, at most."""
_OPEN = 64
"""Blocks open in an actor, at most; each holds a thread."""
_PART = 64
"""Replies that wait for their part, at most."""
_FLUSH_S = 2.0
"""How long a reply waits for its part."""
_POLL_S = 0.3
_GRACE_S = 1.0
"""How long the actors have, once stopped, to write what is finished."""
_GIVE_UP_AFTER = 8
"""Calls for each worker, in a row and in blocks without any reply, that end unfinished before the wave is given up."""
_CORES = 0.05
"""Of a core, for an actor: as Ray counts them, which bounds nothing."""
_STORE_BYTES = 512 * 2**20
"""Of a local cluster's memory for blocks on their way."""
_TALLY = pa.schema([("kind", pa.string()), ("count", pa.int64()), ("refusal", pa.string())])
"""What became of a block: calls by kind of failure ('': answered), and why none will ever be answered."""

_home = ThreadPoolExecutor(1, "ray")
"""Ray is started in this thread, which lives as long as the process: Linux ends a local cluster with the thread that
started it."""
_connected: list[str] = []
"""The address of every teacher that is connected: a process has one cluster, and its teachers share it."""


class _Secret:
    """A key on its way to the actors, as an argument of theirs.

    The variables of a runtime_env would be shown: by Ray's job list and dashboard, and in its logs.
    """

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "…"


class _Actor:
    """Asks the rows of all its open blocks, `concurrency` at a time."""

    def __init__(self, recipe: EngineRecipe, key: _Secret, replies: Path, flag: Path) -> None:
        self._slots = asyncio.Semaphore(recipe.concurrency)
        self._replies, self._flag = replies, flag
        self._name, self._parts = uuid.uuid4().hex, 0
        self._done: list[Reply] = []
        self._asked: set[asyncio.Task[str | None]] = set()
        self._over, self._refusal = False, ""
        self._ticking: asyncio.Task[None] | None = None
        if recipe.api_key_env is not None:
            os.environ[recipe.api_key_env] = key.value
        try:
            self._teacher: Teacher = OpenAITeacher(recipe) if recipe.base_urls else VllmTeacher(recipe)
        except UsageError as error:
            self._refuse(error)

    async def __call__(self, block: pa.Table) -> pa.Table:
        """Ask a block of requests; its tally, when all its replies are written."""
        self._ticking = self._ticking or asyncio.create_task(self._tick())
        asked = [asyncio.create_task(self._ask(row)) for row in block.to_pylist()]
        self._asked.update(asked)
        await asyncio.wait(asked)
        self._asked.difference_update(asked)
        self._flush()
        kinds = Counter(task.result() for task in asked if not task.cancelled())
        del kinds[None]
        tally = [{"kind": kind, "count": kinds[kind], "refusal": self._refusal} for kind in kinds | {"": kinds[""]}]
        return pa.Table.from_pylist(tally, schema=_TALLY)

    async def _ask(self, row: dict[str, Any]) -> str | None:
        """The kind of failure, '' for none, None if it was not asked."""
        async with self._slots:
            if self._over:
                return None
            try:
                reply = await self._teacher.ask(request_of(row))
            except CallUnfinished as error:
                return str(error)
            except TeacherStopped as error:
                self._refuse(error)
                return None
            except Exception as error:  # a fault of this program, whose message may quote the prompt
                fault = RuntimeError(f"a worker failed with {type(error).__name__}")
                raise fault.with_traceback(error.__traceback__) from None
        self._done.append(reply)
        if len(self._done) >= _PART:
            self._flush()
        return ""

    def _flush(self) -> None:
        """Write a part; in one go, so that no reply of a block that ends is still on its way elsewhere."""
        if self._done:
            part = self._replies / f"{self._name}-{self._parts:06}.parquet"
            replies, self._done, self._parts = self._done, [], self._parts + 1
            try:
                write_replies(part, replies)
            except (UsageError, OSError) as error:
                self._refuse(error)

    async def _tick(self) -> None:
        flushed = time.monotonic()
        while not self._flag.exists():
            await asyncio.sleep(_POLL_S)
            if time.monotonic() - flushed > _FLUSH_S:
                self._flush()
                flushed = time.monotonic()
        self._over = True
        for task in self._asked:
            task.cancel()

    def _refuse(self, error: Exception) -> None:
        self._over, self._refusal = True, str(error)


class RayTeacher:
    """One teacher on a cluster. `answer` blocks: call it in a thread."""

    def __init__(self, recipe: EngineRecipe) -> None:
        if importlib.util.find_spec("ray") is None:
            raise missing_extra("ray", "ray")
        if recipe.ray.address.startswith("ray://"):
            raise UsageError(
                f"{recipe.title}: ray.address is {recipe.ray.address!r}",
                why="Ray Data does not work through Ray's client",
                fix="run on a machine of the cluster, with address = 'auto' or 'HOST:6379'",
            )
        self._recipe, self._key = recipe, _Secret(api_key(recipe))
        self._address = ""

    def answer(self, requests: Path, replies: Path, stop: threading.Event) -> Counter[str]:
        """See `BatchTeacher.answer`."""
        _home.submit(self._connect).result()
        flag = replies.absolute() / f".stop-{uuid.uuid4().hex}"  # seen by actors on other machines
        flag.parent.mkdir(parents=True, exist_ok=True)
        outcome: Future[Counter[str]] = Future()
        threading.Thread(target=self._ask_all, args=(requests.absolute(), flag, outcome), daemon=True).start()
        try:
            while not wait({outcome}, _POLL_S).done:
                if stop.is_set():
                    flag.touch()
                    wait({outcome}, 2 * _GRACE_S)
                    break
            return outcome.result() if outcome.done() else Counter()
        finally:
            flag.unlink(missing_ok=True)

    def close(self) -> None:
        """See `BatchTeacher.close`."""
        _home.submit(self._disconnect).result()

    def _connect(self) -> None:
        if self._address:
            return
        address = self._recipe.ray.address
        if _connected and _connected[0] != address:
            raise UsageError(
                f"{self._recipe.title}: ray.address is {address!r}, another teacher's is {_connected[0]!r}",
                why="one run uses one Ray cluster",
                fix="give them the same address, or a recipe each",
            )
        if not _connected:
            _start(address, self._recipe.ray.workers)
        _connected.append(address)
        self._address = address

    def _disconnect(self) -> None:
        if self._address:
            _connected.remove(self._address)
            self._address = ""
            if not _connected:
                importlib.import_module("ray").shutdown()

    def _ask_all(self, requests: Path, flag: Path, outcome: "Future[Counter[str]]") -> None:
        try:
            outcome.set_result(self._tallied(requests, flag))
        except importlib.import_module("ray").exceptions.RayError as error:
            words = str(error).strip().rpartition("\n")[2][:500]  # above it: the worker's traceback
            outcome.set_exception(TeacherStopped(f"{self._recipe.title}: the Ray cluster failed: {words}"))
        except BaseException as error:
            outcome.set_exception(error)

    def _tallied(self, requests: Path, flag: Path) -> Counter[str]:
        """Run the wave to its end, or until the flag is set; calls left unfinished, by kind of failure."""
        rows = sum(pq.read_metadata(part).num_rows for part in requests.glob("*.parquet"))
        if not rows:
            return Counter()
        total: Counter[str] = Counter()
        refusal, failed_in_a_row, until = "", 0, math.inf
        for table in self._tallies(requests, flag, rows):
            block = Counter({row["kind"]: row["count"] for row in table.to_pylist()})
            refusal = refusal or table["refusal"][0].as_py()
            total += block
            failed_in_a_row = 0 if block[""] else failed_in_a_row + block.total()
            given_up = failed_in_a_row >= _GIVE_UP_AFTER * self._recipe.ray.workers
            if refusal or given_up:
                flag.touch()
            if flag.exists():
                until = min(until, time.monotonic() + _GRACE_S)
            if time.monotonic() > until:
                break
        if refusal:
            raise TeacherStopped(refusal)
        if failed_in_a_row:
            total["not asked"] = rows - total.total()
        del total[""]
        return +total

    def _tallies(self, requests: Path, flag: Path, rows: int) -> Iterator[pa.Table]:
        """The tally of every block, as it ends."""
        data: Any = importlib.import_module("ray.data")
        data.DataContext.get_current().enable_progress_bars = False
        for handler in logging.getLogger("ray.data").handlers:
            if type(handler).__name__ == "PlainRayHandler":  # the terminal; the file in Ray's folder stays
                handler.setLevel(logging.CRITICAL)
        workers, blocks = self._recipe.ray.workers, min(self._recipe.concurrency, _OPEN) + 1
        actors = data.ActorPoolStrategy(
            size=workers, max_concurrent_calls_per_actor=blocks, max_tasks_in_flight_per_actor=blocks
        )
        asked = (
            data.read_parquet(str(requests))
            .repartition(target_num_rows_per_block=min(_BLOCK, math.ceil(rows / (2 * workers * blocks))))
            .map_batches(
                _Actor,
                fn_constructor_args=(self._recipe, self._key, flag.parent, flag),
                batch_size=None,
                batch_format="pyarrow",
                compute=actors,
                **self._resources(),
            )
        )
        return iter(asked.iter_batches(batch_size=None, batch_format="pyarrow"))

    def _resources(self) -> dict[str, Any]:
        """What an actor is given: next to nothing of a core, since it waits, and the GPUs of its model."""
        if self._recipe.base_urls:
            return {"num_cpus": _CORES}
        wanted, workers = self._recipe.vllm.tensor_parallel, self._recipe.ray.workers
        there = importlib.import_module("ray").cluster_resources().get("GPU", 0)
        if self._address == "local" and 0 < there < wanted * workers:
            raise UsageError(
                f"{self._recipe.title}: {workers} workers of {wanted} GPUs, and {there:g} are here",
                fix="correct `ray.workers` or `vllm.tensor_parallel`",
            )
        if self._address == "local" and not there:  # vLLM's build for the CPU, or its own words
            return {"num_cpus": _CORES}
        return {"num_cpus": _CORES, "num_gpus": wanted}


def _start(address: str, workers: int) -> None:
    """Connect this process to a cluster, quietly.

    Raises: UsageError if there is none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else warnings of every wave go to the terminal
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # everywhere: listen on loopback alone
        options |= {
            "num_cpus": workers + 1,  # as many processes are started ahead
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
    try:
        with _unnoticed():
            importlib.import_module("ray").init(address, **options)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"no Ray cluster could be used at ray.address = {address!r}",
            why=str(error)[:500],
            fix="start one with `ray start --head`, or use address = 'local'",
        ) from error


@contextmanager
def _unnoticed() -> Iterator[None]:
    """Keep what Ray's compiled part does to this process while it starts from lasting.

    It writes to the terminal about its own log level; and it handles SIGTERM with a stack trace and an abort after
    three seconds, where the run would stop and keep its replies. Python cannot set a handler outside the main thread.
    """
    sigaction, handler = ctypes.CDLL(None).sigaction, ctypes.create_string_buffer(1024)
    terminal, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    sigaction(signal.SIGTERM, None, handler)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        sigaction(signal.SIGTERM, handler, None)
        os.close(terminal)
        os.close(nothing)
