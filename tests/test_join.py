"""Joining replies to records, and the keep rule."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.calls import Call, Reply, Status, Step
from safety_reasoning.builders.join import Joined, join, kept_by, rejoin
from safety_reasoning.builders.questions import efficient_call, full_call, predict_call
from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.records import Record, TeacherTraces
from safety_reasoning.builders.samples import Sample, TopicControlSample
from safety_reasoning.builders.sift import sift_full
from safety_reasoning.builders.sources.aegis import to_sample
from safety_reasoning.builders.store import Store, open_store
from safety_reasoning.errors import UsageError
from tests.conftest import (
    LiveTeacher,
    Run,
    aegis_row,
    build_here,
    openai_teacher,
    serving,
    tree,
    write_aegis,
    write_recipe,
)

SAMPLE = to_sample(aegis_row(), {})
KEEP = ["any", "majority", "all"]
WHY = "It asks how to keep a tool in order, and nobody is harmed by that."
AGREES = "Prompt harm: unharmful\n\nResponse harm: None"


def recipe(*teachers: str, **release: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "release": {"name": "T", "out": "o", "store": "s"} | release,
            "sources": [{"kind": "aegis", "path": "p"}],
            "teachers": [openai_teacher(name, "http://127.0.0.1:1/v1") for name in teachers],
            "regenerate": {"attempts": 0},
        }
    )


def joined(
    folder: Path, full: Reply | None, short: Reply | None = None, *, sample: Sample = SAMPLE, **release: Any
) -> Joined:
    """The join of one sample and one teacher whose replies are these; keys are filled in."""
    made = recipe("a", **release)
    (teacher,) = made.teachers
    with open_store(folder / "s.sqlite") as store:
        if full is not None:
            _answer(store, call := full_call(sample, teacher), full)
            kept = store.get(call.key)
            assert kept is not None
            if short is not None and not sift_full(sample, kept, made).drops:
                _answer(store, efficient_call(sample, teacher, kept, 1), short)
        return join(made, [sample], store)


def _answer(store: Store, call: Call, reply: Reply) -> None:
    store.append([call.request(call.key).reply(reply.status, reasoning=reply.reasoning, answer=reply.answer)])


def ok(reasoning: str | None = WHY, answer: str = AGREES) -> Reply:
    return ended(Status.OK, reasoning=reasoning, answer=answer)


def ended(status: Status, **outcome: Any) -> Reply:
    """A reply whose call is filled in by `_answer`."""
    return Reply(key="", sample_key="", teacher="a", step=Step.FULL, status=status, **outcome)


SHORT = ok(None, "It asks how to care\n for a tool.")


def only(result: Joined) -> TeacherTraces:
    (record,) = result.records
    return record.traces["a"]


def test_a_record_holds_both_traces_and_the_flag(tmp_path: Path) -> None:
    result = joined(tmp_path, ok(), SHORT)
    assert only(result) == TeacherTraces(full=WHY, efficient="It asks how to care for a tool.", mismatch=False)
    assert not result.dropped


@pytest.mark.parametrize(
    ("full", "short", "dropped", "reason"),
    [
        (ok("x\nPrompt harm: harmful"), None, ("a", "full", "verdict_line"), "no_usable_trace"),
        (ok("a </think> b"), None, ("a", "full", "think_tag"), "no_usable_trace"),
        (ok("\ud800"), None, ("a", "full", "not_unicode"), "no_usable_trace"),
        (ended(Status.TRUNCATED, reasoning="x"), None, ("a", "full", "truncated"), "no_usable_trace"),
        (ended(Status.REJECTED), None, ("a", "full", "rejected"), "no_usable_trace"),
        (ok(answer="I cannot say"), SHORT, None, "keep_rule"),
        (ok(answer="Prompt harm: harmful"), SHORT, None, "keep_rule"),
    ],
    ids=["verdict line", "think tag", "surrogate", "truncated", "rejected", "unparsed", "disagrees"],
)
def test_what_cannot_be_released_is_counted_and_its_sample_left_out(
    tmp_path: Path, full: Reply, short: Reply | None, dropped: tuple[str, str, str] | None, reason: str
) -> None:
    result = joined(tmp_path, full, short)
    assert result.records == []
    assert [str(item.reason) for item in result.left_out] == [reason]
    assert json.loads(result.left_out[0].record)["prompt"] == "How do I sharpen a kitchen knife?"
    assert dict(result.dropped) == ({} if dropped is None else {dropped: 1})


@pytest.mark.parametrize("short", [ok(None, "Prompt harm: harmful"), ended(Status.EMPTY_ANSWER)])
def test_a_rewrite_that_cannot_be_used_leaves_the_full_trace(tmp_path: Path, short: Reply) -> None:
    result = joined(tmp_path, ok(), short)
    assert only(result) == TeacherTraces(full=WHY, efficient=None, mismatch=False)
    assert sum(result.dropped.values()) == 1


@pytest.mark.parametrize(("full", "short"), [(None, None), (ok(), None)], ids=["full", "efficient"])
def test_a_call_without_a_reply_is_an_error_that_says_what_to_run(
    tmp_path: Path, full: Reply | None, short: Reply | None
) -> None:
    with pytest.raises(UsageError, match="safety-reasoning build"):
        joined(tmp_path, full, short)


@pytest.mark.parametrize(
    ("predicted", "flag"),
    [
        (ok(None, AGREES), False),
        (ok(None, "Prompt harm: harmful"), True),
        (ok(None, "I cannot say"), True),
        (ended(Status.TRUNCATED, answer=AGREES), None),
    ],
    ids=["agrees", "differs", "does not parse", "truncated"],
)
@pytest.mark.parametrize("beside", [AGREES, "Prompt harm: harmful"], ids=["told right", "told wrong"])
def test_a_blind_verdict_is_the_prediction_and_not_what_stands_beside_the_trace(
    tmp_path: Path, predicted: Reply, flag: bool | None, beside: str
) -> None:
    made = recipe("a", "b", verdict="blind", keep="b")
    first, second = made.teachers
    with open_store(tmp_path / "s.sqlite") as store:
        for teacher, prediction in ((first, predicted), (second, ok(None, AGREES))):
            asked = full_call(SAMPLE, teacher)
            _answer(store, asked, ok(answer=beside))
            _answer(store, predict_call(SAMPLE, teacher), prediction)
            kept = store.get(asked.key)
            assert kept is not None
            _answer(store, efficient_call(SAMPLE, teacher, kept, 1), SHORT)
        result = join(made, [SAMPLE], store)
    assert only(result) == TeacherTraces(full=WHY, efficient="It asks how to care for a tool.", mismatch=flag)


@pytest.mark.parametrize(
    ("answer", "flag"), [("off-topic", False), ("on-topic", True), ("on-topic\noff-topic", True), ("neither", True)]
)
def test_a_topic_verdict_is_held_against_its_label(tmp_path: Path, answer: str, flag: bool) -> None:
    sample = TopicControlSample(
        key="0" * 32, system_instruction="Bread.", history=(), message="Who won?", topic="off-topic", domain=""
    )
    result = joined(tmp_path, ok(answer=answer), SHORT, sample=sample)
    assert bool(result.left_out) is flag
    assert len(result.records) == (not flag)


FILTERED = "so\nPrompt harm: harmful"
TRACES = st.sampled_from(["Because.", FILTERED, "a <think> b", " ", None])
TOLD = st.builds(TeacherTraces, full=TRACES, efficient=TRACES, mismatch=st.sampled_from([True, False, None]))


@given(st.lists(st.dictionaries(st.sampled_from("abc"), TOLD, min_size=1), min_size=1), st.sampled_from(KEEP))
def test_a_published_release_is_filtered_and_kept_by_rule(told: list[dict[str, TeacherTraces]], rule: str) -> None:
    published = recipe("a").model_copy(update={"teachers": ()})
    made = published.model_copy(update={"release": published.release.model_copy(update={"keep": rule})})
    samples = [to_sample(aegis_row(id=str(n)), {}) for n in range(len(told))]
    result = rejoin(made, [Record(sample=s, traces=t) for s, t in zip(samples, told, strict=True)])
    assert len(result.records) + len(result.left_out) == len(told)
    for record in result.records:
        assert kept_by(rule, record)
        assert set(record.traces) == {name for traces in told for name in traces}
        for traces in record.traces.values():
            assert {traces.full, traces.efficient} <= {"Because.", None}
            assert traces.full is not None or traces.efficient is None
    for item in result.left_out:
        assert item.reason in ("no_usable_trace", "keep_rule")


FLAGS = st.dictionaries(st.sampled_from("abcde"), st.sampled_from([True, False, None]), min_size=1)


@given(FLAGS, st.sampled_from(["any", "majority", "all", "a"]))
def test_the_keep_rule_counts_the_teachers_that_agree(flags: dict[str, bool | None], rule: str) -> None:
    traces = {name: TeacherTraces(full="x", efficient=None, mismatch=flag) for name, flag in flags.items()}
    agree = [name for name, flag in flags.items() if flag is False]
    expected = {
        "any": len(agree) >= 1,
        "majority": len(agree) > len(flags) / 2,
        "all": len(agree) == len(flags),
        "a": "a" in agree,
    }
    assert kept_by(rule, Record(sample=SAMPLE, traces=traces)) is expected[rule]


def test_a_teacher_without_a_trace_does_not_agree() -> None:
    silent = TeacherTraces(full=None, efficient=None, mismatch=False)
    assert not kept_by("any", Record(sample=SAMPLE, traces={"a": silent}))


@pytest.mark.parametrize("rule", ["any", "majority", "all", "b"])
def test_every_sample_is_released_or_left_out_under_every_rule(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher], rule: str
) -> None:
    rows = [aegis_row(prompt=f"prompt {n}") for n in range(30)]
    live = {name: teacher(wrong=share) for name, share in {"a": 0.5, "b": 0.3, "c": 0.2}.items()}
    path = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": write_aegis(tmp_path / "aegis", rows)}],
        teachers=[openai_teacher(name, server.url) for name, server in live.items()],
        keep=rule,
    )
    assert run("build", path).returncode == 0
    frame = pl.read_ndjson(tmp_path / "release" / "aegis_v2_efficient_reasoning.jsonl")
    agree = sum((~pl.col(f"prediction_gt_mismatch_{name}")).cast(pl.Int64) for name in live)
    least = {"any": 1, "majority": 2, "all": 3}
    if rule in least:
        assert frame.filter(agree < least[rule]).is_empty()
    else:
        assert frame.get_column("prediction_gt_mismatch_b").any() is False
    left_out = pl.read_parquet(tmp_path / "release" / "left_out" / "content_safety.parquet")
    assert 0 < left_out.height < 30
    assert set(left_out.get_column("reason")) == {"keep_rule"}
    assert frame.height + left_out.height == 30


@pytest.mark.parametrize(("sentences", "released"), [(1, False), (3, True)])
def test_a_rewrite_may_be_as_long_as_its_sentences(tmp_path: Path, *, sentences: int, released: bool) -> None:
    parts = (
        "It asks how to keep an old kitchen knife sharp for tomatoes, onions, fresh bread and all the rest of it",
        "Nothing in it points to anybody who could be cut, threatened or frightened by what might be said back",
        "A plain answer about stones, angles, water and some patience would help a cook and harm nobody at that table",
    )
    text = ". ".join(parts) + " or in that kitchen, at any time of day."
    with open_store(tmp_path / "s.sqlite") as store:
        made = recipe("a", sentences=sentences)
        _answer(store, call := full_call(SAMPLE, made.teachers[0]), ok())
        full = store.get(call.key)
        assert full is not None
        _answer(store, efficient_call(SAMPLE, made.teachers[0], full, sentences), ok(None, text))
        result = join(made, [SAMPLE], store)
    assert (only(result).efficient == text) is released
    assert ("a", "efficient", "too_long") in result.dropped or released


@pytest.mark.parametrize("change", [{}, {"verdict": "blind"}, {"judge": True}], ids=["plain", "blind", "judged"])
def test_a_release_is_the_same_with_and_without_notes_of_where_chains_ended(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    with serving(found=0.3, wrong=0.3) as live:
        judge = openai_teacher("j", live.url) if change.pop("judge", None) else None
        labels = ("safe", "unsafe")  # a blind prediction says harmful
        rows = [aegis_row(prompt=f"prompt {n}", prompt_label=labels[n % 2]) for n in range(30)]
        path = write_recipe(
            tmp_path / "recipe.toml",
            sources=[{"kind": "aegis", "path": write_aegis(tmp_path / "aegis", rows)}],
            teachers=[openai_teacher("a", live.url), openai_teacher("b", live.url)],
            regenerate=1,
            filters={"max_words_full": 45},  # drops about half of them
            judge=judge,
            **change,
        )
        build_here(path)
    noted = tree(tmp_path / "release")
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        assert db.execute("DELETE FROM finished").rowcount == 60
        db.commit()
    build_here(path, ask=False)
    assert tree(tmp_path / "release") == noted
