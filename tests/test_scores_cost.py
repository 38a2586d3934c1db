"""Costs, the escalation rule and contamination, computed by hand."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from safety_reasoning.builders.prompts import load_prompt, render
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.scores.contamination import asked_about, contamination, own_prompt, thresholds, trained_on
from safety_reasoning.eval.scores.cost import NO_LATENCY, added, cost_of
from safety_reasoning.eval.scores.escalation import ALL, Band, escalate, in_first_half
from safety_reasoning.eval.scores.item_texts import texts_from_file
from safety_reasoning.eval.scores.policy import Policy
from safety_reasoning.eval.scores.text_cost import contamination_lines
from safety_reasoning.train.mixture_read import read_mixture
from tests.guard_runs import answers, frame, row, unparsed
from tests.mixtures import mixed, safety, topic, write_mixture_recipe, write_release


def test_latency_and_tokens_are_those_of_the_rows() -> None:
    rows = frame(row(n, latency_s=n / 10, trace_tokens=10 * n, answer_tokens=5) for n in range(1, 11))
    rows = pl.concat([rows, frame([unparsed(99, latency_s=1.1, trace_tokens=450, answer_tokens=5)])])
    found = cost_of(rows, {"concurrency": 4}, draws=0)
    assert (found.rows, found.verdicts, found.timed, found.concurrency) == (11, 10, 11, 4)
    assert (found.p50_s, found.p95_s, found.mean_s) == pytest.approx((0.6, 1.05, 0.6))
    assert found.per_sample_s == pytest.approx(0.15)
    trace = found.tokens["trace"]
    assert (trace.mean, trace.p50, trace.per_verdict) == pytest.approx((1000 / 11, 60, 100))
    assert found.tokens["answer"].per_verdict == pytest.approx(5.5)


def test_tokens_that_are_not_reported_are_no_tokens_of_a_verdict() -> None:
    uncounted = {"prompt_tokens": None, "trace_tokens": None, "answer_tokens": None}
    rows = frame([row(1, trace_tokens=30), row(2, **uncounted)])
    assert cost_of(rows, {}, draws=0).tokens["trace"].per_verdict == 30
    assert cost_of(frame([row(2, **uncounted)]), {}, draws=0).tokens == {}


def test_an_engine_that_answers_in_batches_has_no_latency() -> None:
    rows = frame(row(n, latency_s=None) for n in range(4))
    found = cost_of(rows, {"concurrency": 4}, draws=0)
    assert (found.timed, found.p50_s, found.p95_s, found.per_sample_s) == (0, None, None, None)
    beside = added(rows, {}, rows, {}, Policy.WRONG)
    assert (beside.added_ms, beside.overhead, beside.why, beside.added_f1) == (None, None, NO_LATENCY, 0.0)


def test_the_overhead_is_that_of_figure_4() -> None:
    """0.019 s a sample without reasoning; 34.9% more with one sentence."""
    base = frame(row(n, latency_s=0.019, predicted=n % 2 == 0) for n in range(4))
    more = frame(row(n, latency_s=0.019 * 1.349) for n in range(4))
    found = added(more, {"concurrency": 1}, base, {"concurrency": 1}, Policy.WRONG)
    assert found.overhead == pytest.approx(0.349)
    assert found.added_ms == pytest.approx(6.631)
    assert (found.f1, found.added_f1) == pytest.approx((1.0, 1 / 3))


def test_latencies_of_other_concurrencies_are_not_compared() -> None:
    rows = frame(row(n) for n in range(4))
    found = added(rows, {"concurrency": 8}, rows, {"concurrency": 64}, Policy.WRONG)
    assert (found.overhead, found.why) == (None, "latencies are not compared: the runs differ in concurrency")
    assert found.added_f1 == 0.0


def test_only_tasks_of_both_runs_are_put_beside_each_other() -> None:
    slow = frame([row(0, task="toxicchat", latency_s=100.0)])
    both = pl.concat([frame([row(0, latency_s=0.7)]), slow])
    found = added(both, {}, frame([row(0, latency_s=0.5)]), {}, Policy.WRONG)
    assert found.tasks == ("aegis2_prompt",)
    assert found.added_ms == pytest.approx(200)
    none = added(slow, {}, frame([row()]), {}, Policy.WRONG)
    assert (none.why, none.f1) == ("no item is in both runs", None)


def test_only_items_of_both_runs_are_put_beside_each_other() -> None:
    whole = frame([row(n, latency_s=1.0, predicted=n < 2) for n in range(4)])
    found = added(
        whole, {}, frame([row(n, latency_s=0.5, generation=g) for n in range(2) for g in range(2)]), {}, Policy.WRONG
    )
    assert (found.added_ms, found.f1, found.added_f1) == (500, 1.0, 0.0)


def test_f1_against_the_length_of_the_trace_is_of_rows() -> None:
    rows = frame(row(n, trace_tokens=n, generation=g, predicted=n < 4) for n in range(8) for g in range(2))
    bins = cost_of(rows, {}, draws=0).by_length["aegis2_prompt"]
    assert [(one.tokens, one.rows, one.f1.value) for one in bins] == [
        ("0–1", 4, 1.0),
        ("2–3", 4, 1.0),
        ("4–5", 4, 0.0),
        ("6–7", 4, 0.0),
    ]


def test_traces_of_one_length_have_no_bins() -> None:
    assert cost_of(frame([row(0), row(1)]), {}, draws=0).by_length == {"aegis2_prompt": ()}


def halves(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Keys of the choosing half and of the other."""
    keys = [f"{number:032x}" for number in range(10 * count)]
    first = [key for key in keys if in_first_half(key, seed)][:count]
    return first, [key for key in keys if not in_first_half(key, seed)][:count]


def guard(keys: Iterable[str], right: bool, **changes: Any) -> list[dict[str, Any]]:
    """Rows of a guard that is right, or wrong, about harmful items and spends ten tokens and a second on each."""
    spent = {"prompt_tokens": 3, "trace_tokens": 3, "answer_tokens": 4, "latency_s": 1.0}
    return [row(key, predicted=right, **(spent | changes)) for key in keys]


def test_the_slow_guard_is_asked_where_the_fast_one_is_unsure() -> None:
    chosen_on, reported_on = halves(10)
    fast, slow = [], guard([*chosen_on, *reported_on], True)
    for keys in (chosen_on, reported_on):
        fast += guard(keys[:2], False, probability=0.42)  # wrong and unsure
        fast += [unparsed(key, prompt_tokens=3, trace_tokens=3, answer_tokens=4, latency_s=1.0) for key in keys[2:3]]
        fast += guard(keys[3:], True, probability=0.999)  # right and sure
    (found,) = escalate(frame(fast), frame(slow), draws=0).values()
    assert found.chosen == Band(width=0.1)
    assert (found.chosen_on, found.reported_on, found.with_probability) == (10, 10, 18)
    outcomes = {str(one.band): one for one in found.outcomes}
    expected = {
        "never": (0.0, 14 / 17, 10.0, 1.0),
        "unparsed": (0.1, 16 / 18, 11.0, 1.1),
        "[0.4, 0.6]": (0.3, 1.0, 13.0, 1.3),
        "always": (1.0, 1.0, 20.0, 2.0),
    }
    for name, (escalated, f1, tokens, latency) in expected.items():
        one = outcomes[name]
        assert (one.escalated, one.f1.value, one.tokens, one.latency_s) == pytest.approx(
            (escalated, f1, tokens, latency)
        ), name
    assert found.outcome == outcomes["[0.4, 0.6]"]


def test_nothing_is_chosen_on_the_rows_that_are_reported() -> None:
    """Whatever the guards answer on the reported half, the same band is chosen; another seed, other halves."""
    chosen_on, reported_on = halves(10)
    helps = guard(chosen_on, False, probability=0.42), guard(chosen_on, True)
    for right in (True, False):
        fast, slow = guard(reported_on, right, probability=0.5), guard(reported_on, not right)
        (found,) = escalate(frame(helps[0] + fast), frame(helps[1] + slow), draws=0).values()
        assert found.chosen == Band(width=0.1)
    assert halves(10, seed=1)[0] != chosen_on


def test_one_band_is_chosen_for_all_tasks_too() -> None:
    """The tasks' F1 weigh the same, what is spent is a mean over rows."""
    first, second = halves(4), halves(8)
    fast = guard([*first[0], *first[1]], False, probability=0.42)
    fast += guard([*second[0], *second[1]], True, probability=0.99, task="toxicchat")
    slow = guard([*first[0], *first[1]], True) + guard([*second[0], *second[1]], True, task="toxicchat")
    found = escalate(frame(fast), frame(slow))
    assert {task: str(one.chosen) for task, one in found.items()} == {
        "aegis2_prompt": "[0.4, 0.6]",
        "toxicchat": "never",
        ALL: "[0.4, 0.6]",
    }
    never, chosen = found[ALL].outcomes[0], found[ALL].outcome
    assert chosen is not None
    assert (never.f1.value, chosen.f1.value) == (0.5, 1.0)
    assert (found[ALL].reported_on, chosen.rows) == (12, 12)
    assert (chosen.escalated, chosen.tokens, chosen.latency_s) == pytest.approx((4 / 12, 40 / 3, 4 / 3))


def test_what_escalation_spends_is_not_said_where_a_run_counts_no_tokens() -> None:
    uncounted = {"prompt_tokens": None, "trace_tokens": None, "answer_tokens": None}
    keys = [*halves(3)[0], *halves(3)[1]]
    for fast, slow in ((uncounted, {}), ({}, uncounted)):
        (found,) = escalate(frame(guard(keys, True, **fast)), frame(guard(keys, True, **slow)), draws=0).values()
        assert {one.tokens for one in found.outcomes} == {None}


def test_without_probabilities_only_what_cannot_be_read_is_escalated() -> None:
    keys = [*halves(3)[0], *halves(3)[1]]
    (found,) = escalate(frame(guard(keys, True)), frame(guard(keys, True)), draws=0).values()
    assert [str(one.band) for one in found.outcomes] == ["never", "unparsed", "always"]
    assert (str(found.chosen), found.with_probability) == ("never", 0)


def test_what_may_be_given_up_is_given_up_for_fewer_calls() -> None:
    chosen_on, reported_on = halves(10)
    keys = [*chosen_on, *reported_on]
    fast = guard(chosen_on[:1], False, probability=0.42) + guard([*chosen_on[1:], *reported_on], True, probability=0.99)
    slow = guard(keys, True)
    found = (escalate(frame(fast), frame(slow), draws=0, give_up=give_up) for give_up in (0.0, 0.2))
    strict, mild = (one["aegis2_prompt"].chosen for one in found)
    assert (str(strict), str(mild)) == ("[0.4, 0.6]", "never")


def test_escalation_without_latencies_says_none_and_counts_what_is_left_out() -> None:
    chosen_on, reported_on = halves(4)
    fast = guard([*chosen_on, *reported_on], True, latency_s=None)
    slow = guard([*chosen_on[:2], *reported_on], True)
    (found,) = escalate(frame(fast), frame([*slow, row("only slow")]), draws=0).values()
    assert {one.latency_s for one in found.outcomes} == {None}
    assert (found.only_fast, found.only_slow) == (2, 1)


@pytest.mark.parametrize("half", [0, 1], ids=["all to choose on", "all to report"])
def test_where_all_items_fall_into_one_half_nothing_is_made_up(half: int) -> None:
    rows = frame(guard(halves(3)[half], True))
    (found,) = escalate(rows, rows).values()
    assert (found.chosen_on, found.reported_on) == ((3, 0), (0, 3))[half]
    values = {one.f1.value for one in found.outcomes}
    assert (found.chosen is None, values) == ((False, {None}), (True, {1.0}))[half]


def test_where_no_f1_can_be_computed_no_band_is_chosen() -> None:
    keys = [*halves(3)[0], *halves(3)[1]]
    rows = frame(guard(keys, False, positive=False))
    (found,) = escalate(rows, rows, draws=0).values()
    assert (found.chosen, found.outcome) == (None, None)
    assert found.outcomes[0].f1.why == "no row is labelled positive"


def safety_prompt(prompt: str, response: str = "None", name: str = "classify_safety", taxonomy: str = "S1 …") -> str:
    return render(load_prompt(name), {"taxonomy": taxonomy, "prompt": prompt, "response": response})


@pytest.mark.parametrize("name", ["classify_safety", "classify_safety_no_reasoning"])
@pytest.mark.parametrize(
    "text",
    ["How do I bake bread?", "", "{prompt} {{ x }}\n\nHuman user:\n\nno", "a\nb </think> \x00", "Use the taxonomy"],
)
def test_the_text_is_cut_out_of_the_instructions(name: str, text: str) -> None:
    assert asked_about(safety_prompt(text, "Some response.", name)) == text
    assert asked_about(f"{safety_prompt(text, name=name)} /think") == text


def test_a_topic_prompt_asks_about_its_last_turn() -> None:
    variables = {
        "system_instruction": "Bank.",
        "conversation_history": "user: x",
        "last_user_message": "And the match?",
    }
    assert asked_about(render(load_prompt("classify_topic"), variables)) == "And the match?"
    assert asked_about("Is this harmful: And the match?") is None


def test_a_mixtures_own_prompt_is_cut_away_too() -> None:
    own = "Human user:\n\n{prompt}\n\nIs it harmful?"
    assert own_prompt({"prompt": own}) == own
    assert own_prompt({"prompt": None}) is own_prompt({"prompt": "no place"}) is own_prompt({}) is None
    text = "Is it harmful? {prompt}\n\nHuman user:"
    assert asked_about(own.replace("{prompt}", text) + " /no_think", own) == text
    assert asked_about(text, own) is None
    trained = trained_on(records(own.replace("{prompt}", "Too short.")), n=8, min_share=0.5, own_prompt=own)
    assert trained.uncut == 0 and trained.index.judge("Too short.") not in (None, "too_short")


TAUGHT = "Question number 1 about the colour of the sky over a small town in the morning."


def records(*prompts: str) -> list[dict[str, Any]]:
    return [{"prompt": [{"role": "user", "content": prompt}]} for prompt in prompts]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param(TAUGHT, "exact", id="equal"),
        pytest.param(TAUGHT.upper() + "!!", "normalised", id="but for case and punctuation"),
        pytest.param(f"Please tell me: {TAUGHT} Thank you very much indeed.", "ngram", id="within a longer text"),
        pytest.param("A wholly different question about bread, with enough words to judge it.", None, id="clean"),
    ],
)
def test_an_item_is_found_in_the_mixture_by_how_close_it_is(text: str, kind: str | None) -> None:
    trained = trained_on(records(safety_prompt(TAUGHT), safety_prompt("Another.")), n=8, min_share=0.5)
    (found,) = contamination(frame([row("a")]), {("aegis2_prompt", "a"): text}, trained, draws=0)
    assert found.keys == ({} if kind is None else {"a": kind})
    assert sum(found.found.values()) == (kind is not None)
    assert (found.items, found.without_text, found.too_short) == (1, 0, 0)


def test_the_instructions_that_all_rows_share_contaminate_nothing() -> None:
    trained = trained_on(records(*(safety_prompt(f"Text {n}.") for n in range(3))), n=8, min_share=0.5)
    item = "Given a request from a human user and a response from an LLM assistant, what should I cook tonight?"
    (found,) = contamination(frame([row("a")]), {("aegis2_prompt", "a"): item}, trained, draws=0)
    assert found.keys == {}
    assert (trained.rows, trained.texts, trained.uncut) == (3, 3, 0)


def test_f1_is_given_without_what_the_guard_was_trained_on() -> None:
    rows = frame([*(row(f"{n}") for n in range(3)), *(row(f"{n}", predicted=False) for n in range(3, 5)), row("5")])
    texts = {("aegis2_prompt", f"{n}"): f"{TAUGHT} {n}" if n < 3 else "Too short." for n in range(5)}
    (found,) = contamination(rows, texts, trained_on(records(safety_prompt(TAUGHT)), n=8, min_share=0.5), draws=0)
    assert (found.found, found.too_short, found.without_text) == ({"exact": 0, "normalised": 0, "ngram": 3}, 2, 1)
    assert found.all_rows.f1.value == pytest.approx(8 / 10)
    assert found.clean is not None
    assert found.clean.f1.value == pytest.approx(2 / 4)


def test_a_task_that_is_in_the_mixture_whole_has_no_clean_score() -> None:
    trained = trained_on(records(safety_prompt(TAUGHT)), n=8, min_share=0.5)
    (found,) = contamination(frame([row("a")]), {("aegis2_prompt", "a"): TAUGHT}, trained, draws=0)
    assert found.clean is None
    assert found.as_json()["f1_without"] is None


def test_a_task_of_which_no_text_is_known_has_no_clean_score_that_pretends() -> None:
    trained = trained_on(records(safety_prompt(TAUGHT)), n=8, min_share=0.5)
    found = contamination(frame([row("a")]), {}, trained, draws=0)
    assert (found[0].clean, found[0].without_text) == (None, 1)
    said = "\n".join(contamination_lines(found, trained))
    assert "the text of 1 items is not known: nothing can be said of the task" in said
    assert "no item is left" not in said


def test_a_mixture_of_other_prompts_is_compared_whole() -> None:
    trained = trained_on(records(f"Classify this. {TAUGHT} Answer harmful or not."), n=8, min_share=0.5)
    (found,) = contamination(frame([row("a")]), {("aegis2_prompt", "a"): TAUGHT}, trained, draws=0)
    assert (found.keys, trained.uncut) == ({"a": "ngram"}, 1)


@pytest.mark.parametrize("task", ["content_safety", "topic_control"])
def test_every_row_of_a_mixture_of_ours_gives_its_text(tmp_path: Path, task: str) -> None:
    rows = [safety(n) for n in range(6)] if task == "content_safety" else None
    topics = [topic(n) for n in range(6)] if task == "topic_control" else None
    write_release(tmp_path / "release", rows, topics)
    mark = {"place": "suffix", "on": "/think", "off": "/no_think"}
    recipe = write_mixture_recipe(tmp_path / "m.toml", {"release": "release", "task": task}, mode="dual", mark=mark)
    stated, _ = mixed(recipe)
    mixture = read_mixture(tmp_path / "mixture")
    trained = trained_on(mixture.records(), n=8, min_share=0.5)
    assert (trained.rows, trained.uncut) == (stated["rows"], 0)
    text = safety(1)["prompt"] if task == "content_safety" else topic(1)["last_user_message"]
    (found,) = contamination(frame([row("a")]), {("aegis2_prompt", "a"): text}, trained, draws=0)
    assert found.keys == {"a": "exact"}
    assert thresholds(mixture.stated) == (8, 0.5)


def test_the_thresholds_are_those_that_the_mixture_was_held_against() -> None:
    assert thresholds({"decontamination": {"ngram": 13, "min_share": 0.7}}) == (13, 0.7)


@pytest.mark.parametrize(
    ("name", "columns", "said"),
    [
        ("items.csv", {}, "neither"),
        ("items.jsonl", {"task": ["t"], "item": ["i"]}, "'prompt'"),
        ("items.parquet", {"task": ["t"], "item": ["i"], "prompt": [1]}, r"'prompt' .*\n.*prompt \(Int64\)"),
    ],
)
def test_a_file_without_the_items_texts_is_refused(tmp_path: Path, name: str, columns: Any, said: str) -> None:
    path = tmp_path / name
    rows = pl.DataFrame(columns)
    if name.endswith("parquet"):
        rows.write_parquet(path)
    else:
        rows.write_ndjson(path)
    with pytest.raises(UsageError, match=said):
        texts_from_file(path)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("items.parquet", b"no parquet", "it is empty, or no Parquet"),
        ("items.jsonl", b"", "it is empty, or no JSON Lines"),
        ("items.jsonl", None, "No such file"),
    ],
    ids=["parquet", "empty", "absent"],
)
def test_a_file_of_items_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"cannot be read\nwhy: {why}"):
        texts_from_file(tmp_path / name)


def test_made_up_runs_have_what_costs_need() -> None:
    found = cost_of(frame(answers()), {"concurrency": 8}, draws=0)
    assert found.timed == found.rows == 120
