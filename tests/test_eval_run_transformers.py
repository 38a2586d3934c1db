"""The `transformers` engine, with a real model of a few thousand random weights on the CPU."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.ask_many import ask_many
from safety_reasoning.builders.calls import Reply, Request, Status, Step
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Silent
from safety_reasoning.builders.recipe import EngineRecipe, Sampling
from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.store import open_store
from safety_reasoning.builders.teachers.protocol import TeacherStopped
from safety_reasoning.builders.teachers.transformers import TransformersTeacher
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.runs.folder import read_run
from tests.eval_runs import done, write_recipe
from tests.tiny_model import CHAT_TEMPLATE, CONTEXT, write_tiny_model

pytest.importorskip("torch")

from transformers import AutoTokenizer

OPENS = CHAT_TEMPLATE.replace("{% endif %}", "{% if enable_thinking %}<think>{% endif %}{% endif %}")
GREEDY = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 12}
WARM = {"temperature": 1.0, "top_p": 0.95, "max_tokens": 12}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), chat_template=OPENS)


def request(text: str = "Is it?", index: int = 0, sampling: dict[str, Any] | None = None, **changes: Any) -> Request:
    key = "0" * 32
    given: dict[str, Any] = {
        "key": key, "sample_key": key, "teacher": "g", "step": Step.GUARD, "sample_index": index, "model": "m",
        "text": text, "sampling": Sampling(**(sampling or GREEDY)),
    }  # fmt: skip
    return Request(**given | changes)


def answers(model: Path, *batches: Sequence[Request], concurrency: int = 8) -> list[list[Reply]]:
    """What one engine answers to batches, one after another."""

    async def ask() -> list[list[Reply]]:
        recipe = {"name": "g", "engine": "transformers", "model": str(model), "concurrency": concurrency}
        teacher = TransformersTeacher(EngineRecipe.model_validate(recipe))
        try:
            return [list(await asyncio.gather(*map(teacher.ask, batch))) for batch in batches]
        finally:
            await teacher.close()

    return asyncio.run(ask())


def test_requests_of_like_length_come_together_in_a_batch(model: Path, tmp_path: Path) -> None:
    texts = ["Is it? " * times for times in (5, 1, 3, 2, 4)]
    requests = [request(text, key=f"{number:032x}") for number, text in enumerate(texts)]
    recipe = EngineRecipe.model_validate({"name": "g", "engine": "transformers", "model": str(model), "concurrency": 1})
    with open_store(tmp_path / "s.sqlite") as store:
        ask_many(recipe, requests, store, Silent(), Ledger())
    with closing(sqlite3.connect(tmp_path / "s.sqlite")) as file:
        answered = [int(key, 16) for (key,) in file.execute("SELECT lower(hex(key)) FROM replies ORDER BY rowid")]
    assert [len(texts[number]) for number in answered] == sorted(map(len, texts))


def said(replies: Sequence[Reply]) -> list[tuple[str | None, str]]:
    return [(reply.reasoning, reply.answer) for reply in replies]


def test_a_call_is_answered_alike_alone_and_in_a_batch_greedy_or_with_its_seed(model: Path) -> None:
    calls = [request("Is it?"), request("How long is this one?", 1, WARM), request("Is it?", 2, WARM), request("No.")]
    together, *alone = answers(model, calls, *([call] for call in calls))
    assert said(together) == [one for (reply,) in alone for one in said([reply])]
    assert together[1:3] != together[2:0:-1]
    assert len({reply.answer for reply in answers(model, [request("Is it?", n, WARM) for n in range(6)])[0]}) > 1


def test_greedy_replies_are_the_models_own(model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    chat = [{"role": "system", "content": "{x}"}, {"role": "user", "content": "Is it?"}]
    ids = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))["input_ids"]
    whole = loaded.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12)[0, len(ids) :]
    turns = tuple(Turn(turn["role"], turn["content"]) for turn in chat)
    ((reply,),) = answers(model, [request(messages=turns, logprobs=3)])
    assert reply.answer == tokenizer.decode(whole, skip_special_tokens=True).strip()
    assert reply.prompt_tokens == len(ids)
    with torch.no_grad():
        logs = loaded(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    first = reply.tokens[0]
    assert first.logprob == pytest.approx(float(logs.max()), abs=1e-4)
    assert [value for _, value in first.others] == pytest.approx(logs.topk(3).values.tolist(), abs=1e-4)
    joined = "".join(token.token for token in reply.tokens)  # here each byte is a token, and no letter of its own
    assert [char for char in joined.strip() if char.isascii()] == [char for char in reply.answer if char.isascii()]


def test_limits_templates_raw_texts_and_what_cannot_be_asked(model: Path) -> None:
    calls = [
        request(sampling=GREEDY | {"max_tokens": 1}),
        request(template_kwargs={"enable_thinking": True}),
        request("Is it?", raw=True),
        request("x" * 2 * CONTEXT),
        request("lone \ud800"),
        request(sampling=GREEDY | {"max_tokens": 5}),
    ]
    (replies,) = answers(model, calls)
    assert [reply.completion_tokens for reply in replies[:1] + replies[5:]] == [1, 5]
    assert [reply.finish_reason for reply in replies[:1] + replies[5:]] == ["length", "length"]
    assert (replies[1].reasoning or "") and replies[1].answer == ""  # the template opened what nothing closed
    assert replies[2].prompt_tokens == len("Is it?")
    assert [replies[3].status, replies[4].status] == [Status.REJECTED, Status.REJECTED]
    assert f"the model takes {CONTEXT}" in replies[3].error


PARTS = "{% for one in messages %}{% for part in one['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}"
"""As models that also see images have it: the letters of a text have no `text`."""


def test_a_template_that_reads_parts_is_given_parts(tmp_path: Path) -> None:
    text = "Is it harmful?"
    place = write_tiny_model(tmp_path / "model", chat_template=PARTS)
    ((reply,),) = answers(place, [request(text)])
    assert reply.prompt_tokens == len(AutoTokenizer.from_pretrained(place)(text)["input_ids"]) > 0


def test_a_model_that_would_not_see_the_text_is_not_asked(tmp_path: Path) -> None:
    place = write_tiny_model(tmp_path / "model", chat_template="Always the same.")
    ((reply,),) = answers(place, [request()])
    assert (reply.status, reply.error) == (Status.REJECTED, "the chat template leaves out what it is to judge")


def test_a_field_without_effect_and_a_model_that_is_none_stop_the_guard_by_name(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TeacherStopped, match=r"teacher g: .*extra_body\.beam"):
        answers(model, [request(sampling=GREEDY | {"extra_body": {"beam": 3}})])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TeacherStopped, match="teacher g: transformers cannot load"):
        answers(tmp_path, [request()])


def test_what_fails_in_the_model_reaches_every_call_without_a_prompt() -> None:
    class Broken:
        def answer(self, requests: Sequence[Request], given_up: Callable[[], bool]) -> list[Reply]:
            raise RuntimeError("a secret prompt")

    async def ask() -> list[Reply | BaseException]:
        recipe = EngineRecipe.model_validate({"name": "g", "engine": "transformers", "model": "m"})
        teacher = TransformersTeacher(recipe, lambda recipe: Broken())
        first = await asyncio.gather(*(teacher.ask(request(str(n))) for n in range(3)), return_exceptions=True)
        late = await asyncio.gather(teacher.ask(request()), return_exceptions=True)
        await teacher.close()
        return [*first, *late]

    outcomes = asyncio.run(ask())
    assert [type(outcome) for outcome in outcomes] == [TeacherStopped] * 4
    assert not any("secret" in str(outcome) for outcome in outcomes)


def test_a_folder_that_was_trained_runs_without_a_server_and_says_which_it_is(model: Path, tmp_path: Path) -> None:
    training = {"name": "Tiny guard", "mixture": {"hash": "ab" * 32, "mode": "non_reasoning"}, "switch": None}
    folder = tmp_path / "guard"
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "training.json").write_text(json.dumps(training), encoding="utf-8")
    engine = {"engine": "transformers", "model": "./guard", "concurrency": 3}
    path = write_recipe(
        tmp_path, None, run={"limit": 4, "max_tokens": 8}, guard={"adapter": "ours"}, engine=engine
    )  # fmt: skip
    run, ledger = done(path)
    assert (run.rows.height, ledger.all().replies) == (4, 4)
    assert (run.stated["model"], run.stated["mixture"]) == ("Tiny guard", "ab" * 32)
    assert run.stated["model_revision"].startswith("sha256:")
    assert run.stated["settings"] == {"mode": None, "taxonomy": "aegis", "folder": "guard"}
    assert run.rows["latency_s"].null_count() == 4  # a batch's, not a call's
    assert set(run.rows["parse"]) <= {"truncated", "no_verdict"}
    before = (folder.parent / "run" / "rows.parquet").read_bytes()
    assert done(path)[1].all().replies == 0
    assert (folder.parent / "run" / "rows.parquet").read_bytes() == before
    training["name"] = "Trained again"
    (folder / "training.json").write_text(json.dumps(training), encoding="utf-8")
    assert done(path)[1].all().replies == 4  # another guard's answers are not taken for this one's
    assert read_run(tmp_path / "run").stated["model"] == "Trained again"


def test_a_recipe_without_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match='engine "transformers" needs `model`'):
        EngineRecipe.model_validate({"name": "g", "engine": "transformers"})
    with pytest.raises(ValueError, match="serves itself"):
        EngineRecipe.model_validate({"name": "g", "engine": "transformers", "model": "m", "base_urls": ["http://x"]})


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"safety-reasoning\[train\]"):
        TransformersTeacher(EngineRecipe.model_validate({"name": "g", "engine": "transformers", "model": "m"}))
