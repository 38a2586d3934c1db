"""Several servers behind one teacher: which one a call goes to, and how long one is left alone."""

import asyncio
import math
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safety_reasoning.builders.calls import Reply, Status
from safety_reasoning.builders.recipe import TeacherRecipe
from safety_reasoning.builders.teachers.openai import OpenAITeacher, retry_after_s
from safety_reasoning.builders.teachers.protocol import CallUnfinished
from safety_reasoning.builders.teachers.server import Script, TeacherServer
from tests.conftest import LiveTeacher
from tests.test_openai_teacher import ask, recipe, request

Start = Callable[..., LiveTeacher]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("1", 1.0),
        ("0.25", 0.25),
        (" 7 ", 7.0),
        ("1e3", 1000.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 13:00:30 +0100", 30.0),
        ("Sat, 21 Nov 2026 11:59:59 GMT", None),
        ("Sat, 21 Nov 2026 12:00:00 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Sat, 21 Nov 2026 12:00:30 +9999", None),
        ("Sat, 99 Nov 2026 12:00:30 GMT", None),
        ("0", None),
        ("-0.0", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("", None),
        ("soon", None),
        ("1 second", None),
        ("é\x00", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str, asked: float | None) -> None:
    assert retry_after_s(header, NOW) == asked


WORDS = st.sampled_from(
    ["Sat,", "21", "Nov", "2026", "12:00:30", "GMT", "+0100", "-0000", "99", "10" * 20, ":", "", "-1"]
)


@given(st.text() | st.lists(WORDS).map(" ".join))
@example("1" * 400)
def test_whatever_retry_after_says_it_is_seconds_or_nothing(header: str) -> None:
    asked = retry_after_s(header, NOW)
    assert asked is None or 0 < asked < math.inf


@given(st.integers(min_value=1, max_value=10**6))
def test_a_date_to_come_is_as_far_as_it_is(seconds: int) -> None:
    header = format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)
    assert retry_after_s(header, NOW) == seconds


def one_by_one(
    teacher: TeacherRecipe, live: OpenAITeacher, names: "count[int]", calls: int
) -> "asyncio.Task[list[Reply]]":
    """Calls that wait for each other."""

    async def each() -> list[Reply]:
        return [await live.ask(request(teacher, f"prompt {next(names)}")) for _ in range(calls)]

    return asyncio.create_task(each())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_dead_server_is_passed_over_and_used_again_when_it_is_back(teacher: Start) -> None:
    alive, back, port = teacher(), TeacherServer(Script()), free_port()
    asked = recipe(f"http://127.0.0.1:{port}/v1", alive.url)

    async def story() -> list[int]:
        live, names = OpenAITeacher(asked), count()
        try:
            replies = await one_by_one(asked, live, names, 10)
            seen = [alive.server.calls]
            await back.start(port)
            while not back.calls:  # it failed, so it is passed over for a while
                await asyncio.sleep(0.1)
                replies += await one_by_one(asked, live, names, 1)
            seen.append(back.calls)
            replies += await asyncio.gather(*(live.ask(request(asked, f"prompt {next(names)}")) for _ in range(20)))
            assert {reply.status for reply in replies} == {Status.OK}
            return [*seen, back.calls]
        finally:
            await live.close()
            await back.stop()

    before, first, after = asyncio.run(story())
    assert before == 10
    assert first == 1
    assert after == 1 + 10


def test_a_busy_server_sends_its_calls_to_the_other_without_waiting(teacher: Start) -> None:
    busy, free = teacher(busy=1.0, retry_after_s=30), teacher(delay_s=0.05)
    started = time.monotonic()
    asked = recipe(busy.url, free.url, attempts=3)
    replies = ask(asked, *(f"prompt {n}" for n in range(12)))
    assert {reply.status for reply in replies} == {Status.OK}
    assert time.monotonic() - started < 30
    assert busy.server.calls == 6  # those that were sent at once; none came back to it
    assert free.server.calls == 12


def test_calls_go_to_the_server_with_the_fewest_in_flight(teacher: Start) -> None:
    slow, fast = teacher(delay_s=0.5), teacher(delay_s=0.01)
    asked = recipe(slow.url, fast.url)

    async def story() -> None:
        live, names = OpenAITeacher(asked), count()
        try:
            await asyncio.gather(*(one_by_one(asked, live, names, 10) for _ in range(6)))
        finally:
            await live.close()

    asyncio.run(story())
    assert slow.server.calls + fast.server.calls == 60
    assert slow.server.calls < 30 < fast.server.calls


def test_a_server_that_fails_a_great_many_calls_is_still_only_a_server_that_fails(teacher: Start) -> None:
    live = teacher(failing=1.0)
    asked = recipe(live.url, attempts=3, concurrency=100)

    async def story() -> set[str]:
        teacher = OpenAITeacher(asked)
        try:
            calls = (teacher.ask(request(asked, f"prompt {n}")) for n in range(400))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await teacher.close()
        return {f"{type(outcome).__name__}: {outcome}" for outcome in outcomes}

    assert asyncio.run(story()) == {f"{CallUnfinished.__name__}: HTTP 500"}
    assert live.server.calls == 1200


def test_one_hiccup_of_a_server_does_not_cost_it_a_minute(teacher: Start) -> None:
    hiccup, other = teacher(failing=1.0), teacher()
    asked = recipe(hiccup.url, other.url)

    async def story() -> None:
        live, names = OpenAITeacher(asked), count()
        try:
            await asyncio.gather(*(one_by_one(asked, live, names, 1) for _ in range(64)))  # half of them fail, at once
            hiccup.server.script = Script()
            failed = hiccup.server.calls
            assert failed == 32
            await asyncio.sleep(2.1)
            await one_by_one(asked, live, names, 2)
            assert hiccup.server.calls > failed
        finally:
            await live.close()

    asyncio.run(story())
