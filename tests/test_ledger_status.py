"""What a run counts, what a store says of itself, and how both are told to people."""

import re
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.builders.ledger import Ledger, Line
from safety_reasoning.builders.status import status
from safety_reasoning.builders.store import Progressed, Tally
from safety_reasoning.display import Display, Pace, clock


def reply(teacher: str = "a", step: Step = Step.FULL, status: Status = Status.OK, **changes: Any) -> Reply:
    counts: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": 5} | changes
    return Reply(key="0" * 32, sample_key="1" * 32, teacher=teacher, step=step, status=status, **counts)


def planned(**totals: int) -> Ledger:
    """A ledger of teachers with so many full traces to ask for."""
    ledger = Ledger()
    for teacher, total in totals.items():
        ledger.plan(teacher, Counter({Step.FULL: total}))
    return ledger


# The ledger


def there(ledger: Ledger, teacher: str, calls: Counter[Step]) -> None:
    """Calls that the recipe needs and the store holds."""
    ledger.plan(teacher, calls)
    ledger.found(teacher, calls)


def test_what_is_planned_found_and_answered_adds_up() -> None:
    ledger = planned(a=10)
    there(ledger, "a", Counter({Step.FULL: 4, Step.EFFICIENT_1: 3}))
    ledger.answered([reply(), reply(status=Status.TRUNCATED), reply(step=Step.EFFICIENT_1)])
    full, short = ledger.line("a", Step.FULL), ledger.line("a", Step.EFFICIENT_1)
    assert (full.total, full.before, full.replies, full.done, full.left) == (14, 4, 2, 6, 8)
    assert (short.total, short.before, short.replies, short.done, short.left) == (3, 3, 1, 4, -1)
    assert (full.failed["truncated"], full.failed["ok"]) == (1, 0)
    assert (full.prompt_tokens, full.completion_tokens, full.cost_usd) == (20, 10, None)
    whole = ledger.all()
    assert (whole.total, whole.before, whole.replies, whole.left) == (17, 7, 3, 7)
    ledger.plan("a", Counter({Step.FULL: -8}))
    assert full.left == 0


@given(
    st.lists(
        st.builds(
            reply,
            st.sampled_from("ab"),
            st.sampled_from(Step),
            st.sampled_from(Status),
            cost_usd=st.sampled_from([None, 0.25]),
        )
    )
)
def test_the_sums_are_those_of_the_replies_however_they_come(replies: list[Reply]) -> None:
    at_once, one_by_one = Ledger(), Ledger()
    at_once.answered(replies)
    for each in replies:
        one_by_one.answered([each])
    assert at_once.lines == one_by_one.lines
    for whole in (at_once.all(), *[sum_of(at_once)]):
        assert whole.replies == len(replies)
        assert whole.completion_tokens == 5 * len(replies)
        assert sum(whole.failed.values()) == sum(each.status is not Status.OK for each in replies)
        costs = [each.cost_usd for each in replies if each.cost_usd is not None]
        assert whole.cost_usd == (sum(costs) if costs else None)
    assert list(at_once.teachers()) == sorted({each.teacher for each in replies})


def sum_of(ledger: Ledger) -> Line:
    total = Line()
    for line in ledger.teachers().values():
        total.add(line)
    return total


def test_adding_lines_up_changes_none_of_them() -> None:
    ledger = planned(a=3)
    ledger.answered([reply(status=Status.REJECTED, cost_usd=0.5)])
    for _ in range(3):
        ledger.teachers()
        ledger.all()
    assert ledger.line("a", Step.FULL) == Line(
        total=3, replies=1, failed=Counter(rejected=1), prompt_tokens=10, completion_tokens=5, cost_usd=0.5
    )


def test_seconds_run_from_the_first_call_to_the_latest_reply() -> None:
    ledger = Ledger()
    assert ledger.asking_s == 0
    ledger.asked()
    assert ledger.asking_s == 0
    ledger.answered([reply()])
    first = ledger.asking_s
    ledger.asked()
    ledger.answered([reply()])
    assert 0 < first <= ledger.asking_s < 5


def test_a_summary_has_every_line_and_why_the_run_ended() -> None:
    ledger = planned(b=1, a=2)
    ledger.answered([reply(status=Status.TRUNCATED, cost_usd=0.5)])
    ledger.unfinished["a: HTTP 500"] += 1
    ledger.stopped["b"] = "why"
    told = ledger.summary()
    assert (told["total"], told["before"], told["replies"], told["left"], told["cost_usd"]) == (3, 0, 1, 2, 0.5)
    assert (told["unfinished"], told["stopped"]) == ({"a: HTTP 500": 1}, {"b": "why"})
    assert told["lines"] == [
        {
            "teacher": "a",
            "step": "full",
            "total": 2,
            "before": 0,
            "replies": 1,
            "left": 1,
            "failed": {"truncated": 1},
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "cost_usd": 0.5,
        },
        {
            "teacher": "b",
            "step": "full",
            "total": 1,
            "before": 0,
            "replies": 0,
            "left": 1,
            "failed": {},
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "cost_usd": None,
        },
    ]


def test_what_a_run_tells_the_store_is_its_ledger() -> None:
    ledger = planned(a=5)
    there(ledger, "a", Counter({Step.FULL: 2}))
    ledger.answered([reply()])
    ledger.line("a", Step.FULL).in_flight = 3
    (told,) = ledger.progressed()
    assert (told.teacher, told.step, told.total, told.before, told.done, told.in_flight) == ("a", "full", 7, 2, 3, 3)
    assert told.started_at == ledger.started_at <= told.updated_at


# Status


def tally(
    status: str = "ok", replies: int = 4, teacher: str = "a", step: str = "full", cost_usd: float | None = None
) -> Tally:
    return Tally(teacher, step, status, replies, 10 * replies, 5 * replies, 2.0 * replies, cost_usd)


def progressed(done: int = 30, before: int = 10, step: str = "full", passed_s: float = 10.0) -> Progressed:
    return Progressed("a", step, 100, before, done, 8, 1000.0, 1000.0 + passed_s)


def test_a_line_says_what_is_done_how_fast_and_until_when() -> None:
    (line,) = status([tally(replies=24), tally("truncated", 6)], [progressed()], running=True)
    assert (line.replies, line.failed, line.total, line.done) == (30, {"truncated": 6}, 100, 30)
    assert (line.prompt_tokens, line.completion_tokens, line.mean_latency_s) == (300, 150, 2.0)
    assert (line.in_flight, line.rate_per_s, line.eta_s) == (8, 2.0, 35.0)


def test_a_run_that_has_ended_has_nothing_in_flight_and_no_eta() -> None:
    (line,) = status([tally()], [progressed()], running=False)
    assert (line.in_flight, line.rate_per_s, line.eta_s) == (0, 2.0, None)


@pytest.mark.parametrize("now", [progressed(done=10), progressed(passed_s=0.0)], ids=["nothing new", "no time"])
def test_without_replies_or_time_there_is_no_rate(now: Progressed) -> None:
    (line,) = status([tally()], [now], running=True)
    assert (line.rate_per_s, line.eta_s) == (None, None)


def test_a_run_that_is_done_has_no_time_left() -> None:
    (line,) = status([tally()], [progressed(done=100)], running=True)
    assert line.eta_s == 0


def test_a_store_that_no_run_told_anything_has_no_total() -> None:
    (line,) = status([tally()], [], running=False)
    assert (line.total, line.done, line.in_flight, line.rate_per_s, line.eta_s) == (None, None, 0, None, None)


def test_a_step_without_a_reply_yet_is_there_too() -> None:
    lines = status([tally()], [progressed(), progressed(0, 0, step="efficient-1")], running=True)
    assert [(line.step, line.replies, line.mean_latency_s) for line in lines] == [("efficient-1", 0, 0), ("full", 4, 2)]


def test_lines_are_sorted_and_only_known_costs_are_summed() -> None:
    lines = status(
        [tally(teacher="b", cost_usd=0.5), tally("truncated", teacher="b"), tally(step="predict"), tally()],
        [],
        running=False,
    )
    assert [(line.teacher, line.step, line.cost_usd) for line in lines] == [
        ("a", "full", None),
        ("a", "predict", None),
        ("b", "full", 0.5),
    ]


# What people see


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00:00"),
        (0.4, "0:00:00"),
        (59.6, "0:01:00"),
        (61, "0:01:01"),
        (3599.9, "1:00:00"),
        (3661, "1:01:01"),
        (360_000, "100:00:00"),
    ],
)
def test_a_span_of_time_is_shown_as_a_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@given(st.floats(min_value=0, max_value=1e9))
def test_a_clock_is_the_span_to_the_second(seconds: float) -> None:
    hours, minutes, rest = clock(seconds).split(":")
    assert abs(int(hours) * 3600 + int(minutes) * 60 + int(rest) - seconds) <= 0.5
    assert len(minutes) == len(rest) == 2


def pace(monkeypatch: pytest.MonkeyPatch, line: Line) -> Pace:
    """A pace that began at 100 s."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    return Pace(line)


def test_a_note_says_how_fast_how_well_and_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(total=100)
    at = pace(monkeypatch, line)
    line.replies, line.completion_tokens, line.cost_usd = 20, 1000, 0.125
    line.failed["truncated"] = 2
    line.failed["rejected"] = 1
    assert at.note(line, 110.0) == "2.0/s, 3 failed, 100 tokens/s, 0.12 USD, ETA 0:00:40"


def test_a_note_leaves_out_what_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(total=100)
    at = pace(monkeypatch, line)
    assert at.note(line, 100.0) == "0.0/s, 0 tokens/s"
    line.replies = 100
    assert at.note(line, 150.0) == "2.0/s, 0 tokens/s, ETA 0:00:00"


def test_a_rate_is_that_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(total=10_000)
    at, note = pace(monkeypatch, line), ""
    for second in range(1, 301):
        line.replies += 10 if second <= 200 else 1
        note = at.note(line, 100.0 + second)
        if second == 150:
            assert note.startswith("10.0/s")
    assert note.startswith("1.0/s")
    line.replies += 0
    assert at.note(line, 100.0 + 3600).startswith("0.0/s")


def test_what_was_there_before_is_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(total=1000, before=900)
    at = pace(monkeypatch, line)
    line.replies = 10
    assert at.note(line, 110.0) == "1.0/s, 0 tokens/s, ETA 0:01:30"


class Told:
    """A clock that stands still until it is moved, and what a display wrote to stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.now = 100.0
        self._capsys = capsys
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def lines(self) -> list[str]:
        """Written since the last look."""
        return self._capsys.readouterr().err.splitlines()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(monkeypatch, capsys)


def test_without_a_terminal_there_is_a_plain_line_a_teacher_now_and_then(told: Told) -> None:
    ledger = planned(b=30, a=20)
    ledger.plan("a", Counter({Step.EFFICIENT_1: 20}))
    with Display() as shown:
        shown.stage("asking teachers")
        shown.asking(ledger)
        assert told.lines() == ["asking teachers …"]
        ledger.answered([reply("a"), reply("b")])
        shown.answered(ledger)
        assert told.lines() == []
        told.now += 10
        ledger.answered([reply("a", Step.EFFICIENT_1), *[reply("b", status=Status.TRUNCATED)] * 4])
        shown.answered(ledger)
        assert told.lines() == [
            "b: a reply ended as `truncated`; it is kept, the others go on",
            "a: 2/40, 0.2/s, 1 tokens/s, ETA 0:03:10",
            "b: 5/30, 0.5/s, 4 failed, 2 tokens/s, ETA 0:00:50",
        ]
        told.now += 9
        shown.answered(ledger)
        assert told.lines() == []
    assert told.lines() == []


def test_the_last_reply_is_told_at_once(told: Told) -> None:
    ledger = planned(a=2)
    with Display() as shown:
        shown.asking(ledger)
        told.now += 1
        ledger.answered([reply(), reply()])
        shown.answered(ledger)
    assert told.lines() == ["a: 2/2, 2.0/s, 10 tokens/s, ETA 0:00:00"]


def test_a_run_that_goes_on_says_what_is_there(told: Told) -> None:
    ledger = planned(a=20, b=5)
    there(ledger, "a", Counter({Step.FULL: 80}))
    with Display() as shown:
        shown.asking(ledger)
    assert told.lines() == ["a: 80 of 100 replies are in the store, 20 to go"]


def test_a_teacher_that_is_not_asked_has_no_line(told: Told) -> None:
    ledger = planned(a=1)
    there(ledger, "b", Counter({Step.FULL: 3}))
    with Display() as shown:
        shown.asking(ledger)
        told.lines()
        told.now += 2
        ledger.answered([reply()])
        shown.answered(ledger)
    assert [line.partition(":")[0] for line in told.lines()] == ["a"]


def test_names_and_texts_are_shown_as_they_are(told: Told) -> None:
    with Display() as shown:
        shown.stage("[bold]reading[/bold] \u202e")
    (line,) = told.lines()
    assert line == "[bold]reading[/bold] \u202e …"
    assert not re.search("\x1b", line)


def test_the_first_fault_of_a_kind_is_told_at_once_and_once(told: Told) -> None:
    ledger = planned(a=100, b=100)
    with Display() as shown:
        shown.asking(ledger)
        for _ in range(2):
            ledger.answered([reply("a"), reply("a", status=Status.REJECTED), reply("b", status=Status.TRUNCATED)])
            shown.answered(ledger)
    assert told.lines() == [
        "a: a reply ended as `rejected`; it is kept, the others go on",
        "b: a reply ended as `truncated`; it is kept, the others go on",
    ]
