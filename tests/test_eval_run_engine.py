"""What guards need of an engine: chats, templates' arguments, raw texts and log probabilities, as sent and as kept."""

import asyncio
import dataclasses
import importlib.util
import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.ask_many import ask_many
from safety_reasoning.builders.calls import Reply, Request, Status, Step, TokenChoice
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.parts import (
    REPLY_SCHEMA,
    read_replies,
    read_requests,
    write_replies,
    write_requests,
)
from safety_reasoning.builders.progress import Silent
from safety_reasoning.builders.recipe import EngineRecipe, Sampling
from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.store import open_store, view_store
from safety_reasoning.builders.teachers.client import ChatClient
from safety_reasoning.builders.teachers.completion import complete, request_body, to_reply
from safety_reasoning.builders.teachers.vllm import _tokens as vllm_tokens
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.runs.open import open_asked
from safety_reasoning.eval.runs.recipe import AskRecipe, GuardEngine, GuardRecipe
from tests.changed_teacher import ChangedServer, changed
from tests.conftest import LiveTeacher
from tests.stores import filled, replies_of, reply

TOKENS = (TokenChoice("un\ud800", -0.25, (("un\ud800", -0.25), ("harm", -1.5))), TokenChoice("", -9999.0))


def request(number: int = 0, **changes: Any) -> Request:
    key = f"{number:032x}"
    given: dict[str, Any] = {
        "key": key, "sample_key": key, "teacher": "g", "step": Step.GUARD, "model": "m", "text": "Is it?",
        "sampling": Sampling(temperature=0.0, top_p=1.0, max_tokens=9),
    }  # fmt: skip
    return Request(**given | changes)


def completed(live: LiveTeacher, asked: Request) -> Reply:
    async def ask() -> Reply:
        client = ChatClient(live.url, "none", timeout_s=10, connections=1)
        try:
            return await complete(client, asked)
        finally:
            await client.close()

    return asyncio.run(ask())


def test_a_chat_is_sent_as_it_is_with_the_recipes_template_arguments_above_the_guards() -> None:
    turns = (Turn("system", "{policy}"), Turn("user", "Hi"), Turn("assistant", "Ho"), Turn("user", "Hm"))
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 5}
    body = request_body(
        request(messages=turns, template_kwargs={"enable_thinking": True, "policy": "{x}"},
                sampling=Sampling(extra_body=extra), logprobs=4)
    )  # fmt: skip
    assert body["messages"] == [{"role": turn.role, "content": turn.content} for turn in turns]
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "policy": "{x}"}
    assert (body["logprobs"], body["top_logprobs"], body["top_k"]) == (True, 4, 5)
    assert extra["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_request_of_a_teacher_is_sent_as_before() -> None:
    assert request_body(request()).keys() == {
        "model", "messages", "temperature", "top_p", "max_tokens", "seed",
    }  # fmt: skip


def test_a_raw_text_goes_to_the_completions_endpoint_and_its_probabilities_come_back() -> None:
    with changed(lambda body, completion: None) as live:
        got = completed(live, request(text="Prompt harm: <harmful/unharmful>\nAnswer:", raw=True, logprobs=3))
        (body,) = live.server.bodies
    assert (body["prompt"], body["logprobs"]) == ("Prompt harm: <harmful/unharmful>\nAnswer:", 3)
    assert "messages" not in body
    assert got.answer.startswith("Prompt harm: harmful")
    assert "".join(token.token for token in got.tokens).endswith(got.answer)
    decided = next(choice for choice in got.tokens if choice.token.strip() == "harmful")
    assert {piece for piece, _ in decided.others} == {" harmful", " unharmful"}


def test_probabilities_that_nobody_asked_for_are_not_kept() -> None:
    choice = {"message": {"content": "x"}, "logprobs": {"content": [{"token": "x", "logprob": -1}]}}
    assert to_reply(request(), {"choices": [choice]}, 0.1).tokens == ()
    assert to_reply(request(logprobs=1), {"choices": [choice]}, 0.1).tokens == (TokenChoice("x", -1.0),)


ENTRY = {"token": "x", "logprob": -1.0, "top_logprobs": [{"token": "x", "logprob": -1.0}]}


@pytest.mark.parametrize(
    "content",
    [
        None, 7, "x", {}, [None], [[]], [{"token": "x"}], [{"token": 3, "logprob": -1.0}],
        [ENTRY, {"token": "x", "logprob": "-1"}], [ENTRY | {"logprob": True}], [ENTRY | {"logprob": float("nan")}],
        [ENTRY | {"logprob": 3.0}], [ENTRY | {"logprob": float("inf")}],
        [ENTRY | {"top_logprobs": [{"token": None, "logprob": -1.0}]}],
        [ENTRY | {"top_logprobs": [{"token": "y", "logprob": 10**400}]}],
    ],
    ids=repr,
)  # fmt: skip
def test_probabilities_of_which_one_cannot_be_used_are_none_at_all(content: Any) -> None:
    choice = {"message": {"content": "x"}, "logprobs": {"content": content}}
    got = to_reply(request(logprobs=2), json.loads(json.dumps({"choices": [choice]})), 0.1)
    assert (got.tokens, got.answer) == ((), "x")


def test_minus_infinity_is_the_least_and_rounding_above_one_is_one() -> None:
    logs = [float("-inf"), -(10**400), 1e-7]
    choice = {"message": {"content": "x"}, "logprobs": {"content": [{"token": "x", "logprob": log} for log in logs]}}
    assert [token.logprob for token in to_reply(request(logprobs=1), {"choices": [choice]}, 0).tokens] == [
        -9999.0,
        -9999.0,
        0.0,
    ]


def test_no_more_alternatives_are_kept_than_were_asked_for_and_the_chosen_one() -> None:
    many = [{"token": str(n), "logprob": -float(n)} for n in range(50)]
    choice = {"message": {"content": "x"}, "logprobs": {"content": [ENTRY | {"top_logprobs": many[::-1]}]}}
    (token,) = to_reply(request(logprobs=3), {"choices": [choice]}, 0).tokens
    assert [piece for piece, _ in token.others] == ["0", "1", "2", "3"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["content", "tokens", "token_logprobs", "top_logprobs", "token", "logprob"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@given(logprobs=JSON, raw=st.booleans())
def test_any_json_may_stand_for_probabilities(logprobs: Any, raw: bool) -> None:
    choice = {"message": {"content": "x"}, "text": "x", "logprobs": logprobs}
    got = to_reply(request(logprobs=2, raw=raw), {"choices": [choice]}, 0.1)
    assert got.answer == "x"
    assert all(token.logprob <= 0 for token in got.tokens)


def test_a_store_keeps_tokens_and_one_without_them_still_opens(tmp_path: Path) -> None:
    kept = [reply(1, tokens=TOKENS, step=Step.GUARD), reply(2)]
    path = filled(tmp_path / "s.sqlite", *kept)
    assert sorted(replies_of(path), key=lambda one: one.key) == sorted(kept, key=lambda one: one.key)
    with sqlite3.connect(path) as db:  # as versions before wrote it
        body = zstandard.compress(json.dumps({"reasoning": None, "answer": "old", "error": ""}).encode())
        db.execute("UPDATE replies SET body = ? WHERE key = ?", (body, bytes.fromhex(kept[0].key)))
    with view_store(path) as store:
        old = store.get(kept[0].key)
    assert old is not None
    assert (old.answer, old.tokens) == ("old", ())


def test_requests_and_tokens_travel_as_parts_and_older_parts_are_read(tmp_path: Path) -> None:
    asked = [
        request(1, messages=(Turn("user", "\ud800{x}"),), template_kwargs={"a": [1, None]}, logprobs=3),
        request(2, raw=True),
    ]
    write_requests(tmp_path / "q.parquet", asked)
    assert list(read_requests(tmp_path / "q.parquet")) == asked
    kept = [reply(1, tokens=TOKENS), reply(2)]
    write_replies(tmp_path / "r.parquet", kept)
    assert list(read_replies(tmp_path / "r.parquet")) == kept
    table = pq.read_table(tmp_path / "r.parquet").drop_columns(["tokens"])
    pq.write_table(table, tmp_path / "old.parquet")
    assert list(read_replies(tmp_path / "old.parquet")) == [dataclasses.replace(kept[0], tokens=()), kept[1]]
    broken = table.append_column("tokens", pa.array(["[[1]]", "{}"], pa.string())).select(REPLY_SCHEMA.names)
    pq.write_table(broken, tmp_path / "broken.parquet")
    with pytest.raises(Exception, match="row 1: not a reply"):
        list(read_replies(tmp_path / "broken.parquet"))


def asked_of(engine: dict[str, Any], requests: list[Request], folder: Path) -> Ledger:
    ledger = Ledger()
    recipe = EngineRecipe.model_validate({"name": "g", "model": "m"} | engine)
    with open_store(folder / "s.sqlite") as store:
        ask_many(recipe, requests, store, Silent(), ledger)
    return ledger


@pytest.mark.parametrize("engine", ["openai", "ray"])
def test_chats_and_raw_texts_reach_the_server_and_their_tokens_the_store(tmp_path: Path, engine: str) -> None:
    text = "Prompt harm: <harmful/unharmful>"
    turns = (Turn("system", "s"), Turn("user", text))
    asked = [
        request(1, messages=turns, template_kwargs={"enable_thinking": False}, logprobs=2),
        request(2, text=text, raw=True, logprobs=2),
    ]
    asked.append(asked[0])  # which is one call
    with changed(lambda body, completion: None) as live:
        options = {"engine": engine, "base_urls": [live.url], "ray": {"workers": 1}}
        ledger = asked_of(options, asked, tmp_path)
        bodies = sorted(live.server.bodies, key=lambda body: "prompt" in body)
        assert asked_of(options | {"base_urls": ["http://127.0.0.1:9/v1"]}, asked, tmp_path).all().replies == 0
    assert (ledger.all().replies, ledger.all().left, len(bodies)) == (2, 0, 2)
    assert bodies[0]["messages"][0] == {"role": "system", "content": "s"}
    assert bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert bodies[1]["prompt"] == text
    assert all(" harmful" in {token.token for token in kept.tokens} for kept in replies_of(tmp_path / "s.sqlite"))


def test_a_server_that_refuses_everything_is_set_up_wrongly_and_the_run_says_so(tmp_path: Path) -> None:
    live = LiveTeacher(ChangedServer(lambda body, completion: None, reject="Is it?").script)
    try:
        with pytest.raises(Exception, match=r"`rejected`.*--retry rejected"):
            asked_of(
                {"engine": "openai", "base_urls": [live.url], "concurrency": 2},
                [request(n, text=f"Is it? {n}") for n in range(80)],
                tmp_path,
            )
    finally:
        live.stop()
    assert 32 <= len(replies_of(tmp_path / "s.sqlite")) < 40
    assert {kept.status for kept in replies_of(tmp_path / "s.sqlite")} == {Status.REJECTED}


@pytest.mark.embedded
@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="the [embedded] extra is not installed")
def test_the_embedded_model_takes_chats_and_raw_texts_and_gives_their_tokens(tmp_path: Path) -> None:
    turns = (Turn("system", "Answer in one word."), Turn("user", "Is the sky blue?"))
    asked = [request(1, messages=turns, logprobs=2), request(2, text="The sky is", raw=True, logprobs=2)]
    asked_of({"engine": "embedded", "model": "", "concurrency": 1}, asked, tmp_path)
    for kept in replies_of(tmp_path / "s.sqlite"):
        assert "".join(token.token for token in kept.tokens).strip() == kept.answer
        assert all(2 <= len(token.others) <= 3 for token in kept.tokens)


def test_under_a_grammar_no_alternatives_are_asked_for_since_they_would_be_those_without_it() -> None:
    engine = GuardEngine(engine="embedded")
    free = open_asked(GuardRecipe(adapter="instruct"), engine, AskRecipe())
    bound = open_asked(GuardRecipe(adapter="instruct", grammar="classify_safety"), engine, AskRecipe())
    assert free.asked is not None
    assert bound.asked is not None
    assert (free.asked.logprobs, bound.asked.logprobs) == (5, 0)
    assert bound.asked.grammar


def test_questions_about_a_task_tell_the_engine_what_they_share() -> None:
    asked = open_asked(GuardRecipe(adapter="instruct"), GuardEngine(engine="embedded"), AskRecipe()).asked
    assert asked is not None
    items = [Item(task="t", subject=Subject.PROMPT, prompt=prompt, positive=False) for prompt in ("one", "two")]
    sent = list(asked.requests(items))
    assert len({one.key for one in sent}) == 2
    assert {one.head for one in sent} == {sent[0].head}
    assert all(one.text.startswith(one.head) and one.head.endswith("\n") for one in sent)
    assert "S1" in sent[0].head
    (alone,) = asked.requests(items[:1])
    assert alone.head == ""


def test_tokens_of_vllm_are_read_with_their_alternatives_likeliest_first() -> None:
    def at(*pairs: tuple[int, str | None, float, int]) -> dict[int, Any]:
        return {token: SimpleNamespace(decoded_token=text, logprob=log, rank=rank) for token, text, log, rank in pairs}

    choice = SimpleNamespace(
        token_ids=[7, 8], logprobs=[at((7, " a", -0.5, 2), (9, " b", -0.1, 1)), at((8, None, 0, 1))]
    )
    assert vllm_tokens(choice) == (
        TokenChoice(" a", -0.5, ((" b", -0.1), (" a", -0.5))),
        TokenChoice("", 0.0, (("", 0.0),)),
    )
    assert vllm_tokens(SimpleNamespace(token_ids=[7], logprobs=None)) == ()
