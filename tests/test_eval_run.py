"""A run of a guard: what it asks, what it keeps of every answer, and what it refuses before a model is asked."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from safety_reasoning.builders.calls import Reply, Status, Step, TokenChoice
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.runs.answers import trace_tokens
from safety_reasoning.eval.runs.folder import ROWS, STATED, read_run, write_run
from safety_reasoning.eval.runs.recipe import load_run_recipe
from safety_reasoning.eval.runs.rows import OK, SCHEMA
from safety_reasoning.eval.runs.subset import subset
from tests.changed_teacher import changed
from tests.conftest import ROOT, LiveTeacher, Run
from tests.eval_runs import done, write_prompts, write_recipe

REASONS = {"adapter": "instruct", "settings": {"reasoning": "on"}}
HARMFUL = "Prompt harm: harmful\n\nResponse harm: None\n\nResponse refusal: None"


def answering(*answers: str | None) -> Any:
    """A server's answers in place of the scripted ones, by the number in the prompt."""

    def change(body: dict[str, Any], completion: dict[str, Any]) -> None:
        text = body["messages"][-1]["content"]
        number = int(text.partition("prompt number ")[2].partition("\n")[0] or 0)
        completion["choices"][0]["message"] = {"role": "assistant", "content": answers[number % len(answers)]}
        completion["choices"][0].pop("logprobs", None)

    return change


def test_every_item_has_a_row_with_all_that_was_said(tmp_path: Path, live: LiveTeacher) -> None:
    run, ledger = done(write_recipe(tmp_path, live.url, guard=REASONS))
    assert (ledger.all().replies, run.rows.height) == (12, 12)
    assert run.rows.schema == SCHEMA
    assert run.rows["predicted"].to_list() == [True] * 12  # the scripted server says harmful of everything
    assert run.rows["positive"].sum() == 4
    row = run.rows.row(0, named=True)
    assert (row["parse"], row["status"], row["finish_reason"]) == (OK, "ok", "stop")
    assert "was read in full" in row["reasoning"]
    assert 0.5 <= row["probability"] <= 1
    assert row["latency_s"] > 0
    assert row["trace_tokens"] > 0
    assert row["answer_tokens"] > 0
    assert run.rows["probability"].n_unique() > 1
    assert run.rows.equals(run.rows.sort("task", "item", "generation"))


def test_tokens_that_a_server_does_not_count_are_not_known(tmp_path: Path) -> None:
    def uncounted(body: dict[str, Any], completion: dict[str, Any]) -> None:
        del completion["usage"]

    with changed(uncounted) as live:
        rows = done(write_recipe(tmp_path, live.url, guard=REASONS))[0].rows
    assert set(rows["parse"]) == {OK}
    assert all(rows[f"{kind}_tokens"].null_count() == rows.height for kind in ("prompt", "trace", "answer"))


def test_the_same_store_gives_the_same_bytes_and_asks_nobody(tmp_path: Path, live: LiveTeacher) -> None:
    path = write_recipe(tmp_path, live.url)
    done(path)
    before = {name: (tmp_path / "run" / name).read_bytes() for name in (STATED, ROWS)}
    calls = live.server.calls
    path.write_text(path.read_text(encoding="utf-8").replace(live.url, "http://127.0.0.1:9/v1"), encoding="utf-8")
    _, again = done(path)
    assert (again.all().replies, live.server.calls) == (0, calls)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in before} == before


def test_run_json_states_who_was_asked_what_and_how_and_nothing_of_this_machine(
    tmp_path: Path, live: LiveTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARD_KEY", "sk-secret")
    run, _ = done(write_recipe(tmp_path, live.url, run={"preset": "paper"}, engine={"api_key_env": "GUARD_KEY"}))
    stated = run.stated
    assert stated["sampling"] == {
        "preset": "paper", "temperature": 0.6, "top_p": 0.95, "max_tokens": 4096, "extra_body": {},
    }  # fmt: skip
    assert (stated["generations"], stated["concurrency"], stated["engine"]) == (4, 4, "openai")
    assert (stated["adapter"], stated["model"], stated["mixture"]) == ("instruct", "scripted", None)
    (task,) = stated["tasks"]
    assert (task["name"], task["rows"], task["asked"]["items"]) == ("openai_moderation", 12, 12)
    text = (tmp_path / "run" / STATED).read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "127.0.0.1" not in text
    assert "sk-secret" not in text


def test_the_paper_preset_asks_four_times_with_seeds_of_their_own(tmp_path: Path) -> None:
    with changed(lambda body, completion: None) as live:
        run, ledger = done(write_recipe(tmp_path, live.url, run={"preset": "paper", "seed": 7}))
        sent = {(body["temperature"], body["top_p"], body["seed"]) for body in live.server.bodies}
    assert sent == {(0.6, 0.95, seed) for seed in (7, 8, 9, 10)}
    assert (ledger.all().replies, run.rows["generation"].unique().sort().to_list()) == (48, [0, 1, 2, 3])


def test_the_deploy_preset_is_greedy(tmp_path: Path) -> None:
    with changed(lambda body, completion: None) as live:
        done(write_recipe(tmp_path, live.url))
        assert {(body["temperature"], body["top_p"]) for body in live.server.bodies} == {(0.0, 1.0)}
        assert {(body["logprobs"], body["top_logprobs"]) for body in live.server.bodies} == {(True, 5)}


@pytest.mark.parametrize(
    ("answer", "parse"),
    [
        ("\x00 garbage {{ 7*7 }} </script>\u202e", "no_verdict"),
        ("", "empty_answer"),
        (None, "empty_answer"),
        ("Prompt harm:", "no_verdict"),
        ("Prompt harm: harm", "no_verdict"),
        (f"{HARMFUL}\n\nPrompt harm: unharmful", "two_verdicts"),
        ("<think>Prompt harm: unharmful", "empty_answer"),
        (f"I said <think> {HARMFUL}", "open_think"),
        ("lone \ud800 surrogate", "no_verdict"),
    ],
    ids=["garbage", "nothing", "null", "half", "half_a_word", "two", "open_think", "late_think", "surrogate"],
)
def test_an_answer_that_cannot_be_used_is_a_row_with_its_code_and_no_prediction(
    tmp_path: Path, answer: str | None, parse: str
) -> None:
    with changed(answering(HARMFUL, answer)) as live:
        run, _ = done(write_recipe(tmp_path, live.url))
    unread = run.rows.filter(pl.col("parse") != OK)
    assert run.rows.height == 12
    assert unread["parse"].to_list() == [parse] * 6
    assert unread["predicted"].to_list() == [None] * 6
    assert unread["probability"].to_list() == [None] * 6
    assert read_run(tmp_path / "run").rows.equals(run.rows)


def test_a_guard_that_never_answers_well_is_a_result_and_no_fault_of_the_server(tmp_path: Path) -> None:
    with changed(answering("")) as live:
        run, _ = done(write_recipe(tmp_path, live.url, prompts=write_prompts(tmp_path / "p.jsonl", 40)))
    assert run.rows["parse"].value_counts().row(0) == ("empty_answer", 40)


def test_a_truncated_answer_has_no_verdict_though_it_begins_with_one(tmp_path: Path) -> None:
    def cut(body: dict[str, Any], completion: dict[str, Any]) -> None:
        completion["choices"][0]["finish_reason"] = "length"

    with changed(cut) as live:
        run, _ = done(write_recipe(tmp_path, live.url))
    assert set(run.rows["parse"]) == {"truncated"}
    assert run.rows["answer"][0].startswith("Prompt harm: harmful")


def test_a_refused_call_is_a_row_and_can_be_asked_again(tmp_path: Path, run: Run) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", p3="NOT THIS ONE")
    with changed(lambda body, completion: None, reject="NOT THIS ONE") as live:
        path = write_recipe(tmp_path, live.url, prompts=prompts)
        made, _ = done(path)
        assert made.rows["parse"].value_counts().sort("parse").rows() == [(OK, 11), ("rejected", 1)]
        live.server.script = type(live.server.script)()
        again = run("eval", "run", path, "--retry", "rejected", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["asked"]["replies"] == 1
    assert json.loads(again.stdout)["tasks"]["openai_moderation"]["parse"] == {OK: 12}
    assert run("eval", "run", path, "--retry", "nonsense").returncode == 2


def test_equal_questions_of_a_run_are_asked_once(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl")
    with changed(lambda body, completion: None) as live:
        done(write_recipe(tmp_path, live.url, prompts=prompts))
        done(write_recipe(tmp_path, live.url, prompts=prompts, run={"name": "Other", "limit": 5}))
        assert len(live.server.bodies) == 12


def test_a_limit_takes_the_beginning_of_one_random_order(tmp_path: Path, live: LiveTeacher) -> None:
    few, _ = done(write_recipe(tmp_path, live.url, run={"limit": 3}))
    more, ledger = done(write_recipe(tmp_path, live.url, run={"limit": 6}))
    other, _ = done(write_recipe(tmp_path, live.url, run={"limit": 3, "seed": 1}))
    assert (few.rows.height, more.rows.height, ledger.all().before) == (3, 6, 3)
    assert set(few.rows["item"]) < set(more.rows["item"])
    assert set(other.rows["item"]) != set(few.rows["item"])
    assert few.stated["tasks"][0]["asked"]["items"] == 3


def test_a_subset_keeps_the_order_and_takes_no_more_than_there_are() -> None:
    items = [Item(task="t", subject=Subject.PROMPT, prompt=str(n), positive=False) for n in range(9)]
    chosen = subset(items, 4, 0)
    assert [item for item in items if item in chosen] == list(chosen)
    assert subset(items, 99, 0) == tuple(items) == subset(items, None, 0)


def test_a_policy_of_the_recipe_stands_in_the_prompt_in_place_of_the_taxonomy(tmp_path: Path) -> None:
    (tmp_path / "policy.md").write_text("Nothing about {sailing} is allowed.\n", encoding="utf-8")
    with changed(lambda body, completion: None) as live:
        run, _ = done(write_recipe(tmp_path, live.url, guard={"policy": "policy.md"}))
        texts = [body["messages"][0]["content"] for body in live.server.bodies]
    assert all("Nothing about {sailing} is allowed." in text for text in texts)
    assert run.stated["policy_sha256"]
    plain, _ = done(write_recipe(tmp_path / "plain", None, guard={"adapter": "always_positive"}))
    assert set(plain.rows["item"]) == set(run.rows["item"])  # rows are known by the item, not by who judged it how


def test_a_guard_without_a_model_needs_no_engine(tmp_path: Path) -> None:
    run, ledger = done(write_recipe(tmp_path, None, guard={"adapter": "always_positive"}))
    assert run.rows["predicted"].to_list() == [True] * 12
    assert (ledger.all().total, run.stated["engine"], run.stated["model"]) == (0, None, None)
    assert not (tmp_path / "run.sqlite").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run": {"tasks": ["openai_moderation", "no_such"]}}, "no_such"),
        ({"run": {"tasks": ["openai_moderation", "openai_moderation"]}}, "named twice"),
        ({"run": {"counts": "declared"}}, "other counts"),
        ({"run": {"tokens": 1}}, "run.tokens: unknown key"),
        ({"run": {"store": "run/store.sqlite"}}, "replaced as a whole"),
        ({"guard": {"adapter": "nobody"}}, "no guard is named 'nobody'"),
        ({"guard": {"adapter": "instruct", "settings": {"colour": "red"}}}, "no setting 'colour'"),
        ({"guard": {"adapter": "refusal_expression"}}, "cannot judge openai_moderation"),
        ({"guard": {"policy": "absent.md"}}, "absent.md cannot be read"),
        ({"guard": {"adapter": "wildguard", "policy": "absent.md"}}, "takes no policy"),
        ({"guard": {"grammar": "classify_safety"}}, "embedded engine alone"),
        ({"more": "[presets]\ntoxicchat = 'x'\n"}, "presets.toxicchat is not among run.tasks"),
        ({"engine": {"model": "/nowhere/at/all", "engine": "vllm", "base_urls": []}}, "is no folder"),
    ],
    ids=[
        *("task", "twice", "counts", "key", "store", "guard", "setting", "subject", "no_policy_file", "no_policy"),
        *("grammar", "preset", "folder"),
    ],
)
def test_what_cannot_be_used_is_said_before_a_model_is_asked(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with changed(lambda body, completion: None) as live:
        with pytest.raises(UsageError, match=said):
            done(write_recipe(tmp_path, live.url, **changes))
        assert live.server.bodies == []
    assert not (tmp_path / "run").exists()


def test_a_guard_with_a_model_and_no_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add a table \\[engine\\]"):
        done(write_recipe(tmp_path, None))


def test_a_folder_that_is_no_run_is_left_alone_and_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with changed(lambda body, completion: None) as live:
        with pytest.raises(UsageError, match="not empty and is no run"):
            done(write_recipe(tmp_path, live.url))
        assert live.server.bodies == []
    assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path, live: LiveTeacher) -> None:
    run, _ = done(write_recipe(tmp_path, live.url))
    back = read_run(tmp_path / "run")
    assert (back.stated, back.rows.equals(run.rows)) == (run.stated, True)


def test_anything_that_is_no_run_is_refused_with_its_reason(tmp_path: Path, live: LiveTeacher) -> None:
    with pytest.raises(UsageError, match="is no run"):
        read_run(tmp_path)
    done(write_recipe(tmp_path, live.url))
    folder = tmp_path / "run"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}

    def broken(name: str, content: bytes, match: str) -> None:
        (folder / name).write_bytes(content)
        with pytest.raises(UsageError, match=match):
            read_run(folder)
        (folder / name).write_bytes(whole[name])

    broken(STATED, b"[]", "format")
    broken(STATED, b"{", "is no run")
    broken(STATED, b"[" * 100_000, "is no run")
    broken(ROWS, b"PAR1", "is no run")
    broken(ROWS, whole[ROWS][:-9], "is no run")
    pl.DataFrame({"task": [1]}).write_parquet(folder / ROWS)
    with pytest.raises(UsageError, match="column 'task'"):
        read_run(folder)
    empty = pl.DataFrame(schema=SCHEMA)
    empty.write_parquet(folder / ROWS)
    with pytest.raises(UsageError, match="SHA-256"):
        read_run(folder)
    assert write_run(folder, {}, empty).rows.height == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"reasoning": None, "completion_tokens": 9}, 0),
        ({"reasoning": "a" * 30, "answer": "b" * 10, "completion_tokens": 8}, 6),
        ({"reasoning": "a", "answer": "", "completion_tokens": 8}, 8),
        ({"reasoning": "a", "tokens": ("<think>", "a", "</th", "ink>", "b"), "completion_tokens": 5}, 4),
        ({"reasoning": "a", "tokens": ("a",), "answer": "a", "completion_tokens": 2}, 1),
    ],
    ids=["none", "by_share", "all", "counted", "not_marked"],
)
def test_tokens_of_the_trace_are_counted_where_they_are_known(changes: dict[str, Any], expected: int) -> None:
    tokens = tuple(TokenChoice(token, 0.0) for token in changes.pop("tokens", ()))
    key = "0" * 32
    reply = Reply(
        **{"key": key, "sample_key": key, "teacher": "g", "step": Step.GUARD, "status": Status.OK} | changes,
        tokens=tokens,
    )
    assert trace_tokens(reply) == expected


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "eval").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_is_read(path: Path) -> None:
    recipe = load_run_recipe(path)
    assert recipe.engine is not None
