"""The `vllm` engine: the model in this process, through vLLM's offline `LLM`.

One thread owns the model. Calls join its batch one by one and leave it as they finish: a long trace holds no other
call up, each has a chat template's arguments of its own, and one that is cancelled leaves at the next step. A
recipe's fields mean what they mean to vLLM's server, since its own request class reads them.
"""

import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from safety_reasoning.builders.calls import Reply, Request, Status, TokenChoice
from safety_reasoning.builders.recipe import EngineRecipe, Sampling
from safety_reasoning.builders.teachers.completion import messages_of, status_of
from safety_reasoning.builders.teachers.model_thread import ModelThread, settle
from safety_reasoning.builders.teachers.protocol import CallUnfinished, TeacherStopped
from safety_reasoning.builders.verdicts import split_think
from safety_reasoning.errors import UsageError, missing_extra

PASSED = frozenset((
    "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias", "bad_words",
    "allowed_token_ids", "min_tokens", "ignore_eos", "stop", "stop_token_ids", "include_stop_str_in_output",
    "skip_special_tokens", "thinking_token_budget", "structured_outputs", "response_format",
))  # fmt: skip
"""Fields of `extra_body` that shape the tokens and that the server's request class and SamplingParams share."""

Outcome = Reply | CallUnfinished


class Refused(Exception):
    """This one call cannot be answered; `str()` is vLLM's reason, which may quote the prompt."""


class Engine(Protocol):
    """A model that answers a batch, used by one thread."""

    def add(self, request: Request) -> str:
        """Put a request into the batch; its name there. Raises: Refused."""
        ...

    def step(self) -> Mapping[str, Outcome]:
        """A token more for every request of the batch, of which there must be one; those that end with it."""
        ...

    def abort(self, name: str) -> None:
        """Take a request out of the batch."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


class VllmTeacher(ModelThread):
    """One model; loaded, by a thread of its own, when the first call comes."""

    def __init__(self, recipe: EngineRecipe, load: "Callable[[EngineRecipe], Engine] | None" = None) -> None:
        if load is None and importlib.util.find_spec("vllm") is None:
            raise missing_extra("vllm", "vllm")
        for sampling in recipe.samplings:
            split_fields(recipe.title, sampling)
        super().__init__(recipe.title, "vLLM failed with {}; its own messages say more".format)
        self._recipe, self._load = recipe, load or _Vllm

    def serve(self) -> None:
        """See `ModelThread.serve`."""
        engine = self._load(self._recipe)
        batch: dict[str, Future[Reply]] = {}
        try:
            while not self.closing.is_set():
                self._admit(engine, batch)
                for name in [name for name, reply in batch.items() if reply.cancelled()]:
                    engine.abort(name)
                    del batch[name]
                for name, outcome in engine.step().items() if batch else ():
                    settle(batch.pop(name), outcome)
        finally:
            engine.close()

    def _admit(self, engine: Engine, batch: "dict[str, Future[Reply]]") -> None:
        """Fill the batch with calls that wait; wait for one where the batch is empty."""
        while len(batch) < self._recipe.concurrency:
            asked = self.take(block=not batch)
            if asked is None:
                return
            request, reply = asked
            try:
                batch[engine.add(request)] = reply
            except Refused as error:
                settle(reply, request.reply(Status.REJECTED, error=str(error)[:500]))


def split_fields(asked_of: str, sampling: Sampling) -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields of the request, arguments of the chat template).

    Raises: UsageError naming a field of `extra_body` that would have no effect here.
    """
    fields = dict(sampling.extra_body)
    template = dict(fields.pop("chat_template_kwargs", None) or {})
    effort = fields.pop("reasoning_effort", None)
    if effort is not None:  # as the server does, whose templates differ in what switches thinking on
        template = {"enable_thinking": effort != "none"} | template | {"reasoning_effort": effort}
    unknown = sorted(fields.keys() - PASSED)
    if unknown:
        raise UsageError(
            f"{asked_of}: the vllm engine does not pass on extra_body.{unknown[0]}",
            why=f"it knows chat_template_kwargs, reasoning_effort, {', '.join(sorted(PASSED))}",
            fix="remove it, or serve the model and ask it with engine = 'openai'",
        )
    asked = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens}
    return fields | asked, template


class _Vllm:
    """vLLM's `LLM`, stepped by hand."""

    def __init__(self, recipe: EngineRecipe) -> None:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # warnings may quote a prompt
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")  # a fork beside threads may hang
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # a process of its own outlives a kill of ours
        self._recipe = recipe
        self._batch: dict[str, tuple[Request, Any, Any, float]] = {}
        self._llm: Any = None
        try:
            self._start(recipe)
        except Exception as error:
            if self._llm is not None:
                self.close()
            said = " ".join(str(error).partition("[type=")[0].split())  # without pydantic's quote of the arguments
            raise TeacherStopped(f"vLLM cannot serve {recipe.model!r}: {said[:300]}") from error

    def _start(self, recipe: EngineRecipe) -> None:
        self._request = importlib.import_module("vllm.entrypoints.openai.chat_completion.protocol")
        self._refusal = importlib.import_module("vllm.exceptions").VLLMClientError
        for sampling in recipe.samplings:
            self._chat(sampling, sampling.seed, 0)  # a wrong value shows before the model is loaded
        name = recipe.vllm.reasoning_parser
        args = {"tensor_parallel_size": recipe.vllm.tensor_parallel, "reasoning_parser": name}
        args |= {"use_tqdm_on_load": False} | recipe.vllm.engine_args
        self._llm = importlib.import_module("vllm").LLM(recipe.model, **args)
        self._config, self._tokenizer = self._llm.model_config, self._llm.get_tokenizer()
        self._defaults = self._config.get_diff_sampling_param()
        self._parser = importlib.import_module("vllm.parser.parser_manager").ParserManager.get_parser(
            reasoning_parser_name=name,
            is_harmony=self._config.hf_config.model_type == "gpt_oss",
            tokenizer=self._tokenizer,
        )

    def _chat(self, sampling: Sampling, seed: int, logprobs: int) -> tuple[Any, dict[str, Any]]:
        """(the server's request, without the prompt; the chat template's arguments)."""
        fields, template = split_fields(self._recipe.title, sampling)
        if logprobs:
            fields |= {"logprobs": True, "top_logprobs": logprobs}
        return self._request.ChatCompletionRequest(messages=[], seed=seed, **fields), template

    def add(self, request: Request) -> str:
        """See `Engine.add`."""
        try:
            "".join([request.text, *(turn.content for turn in request.messages)]).encode()
        except UnicodeEncodeError:
            raise Refused("the text holds a lone surrogate") from None
        asked, template = self._chat(request.sampling, request.seed, request.logprobs)
        template = {**request.template_kwargs, **template}
        parser = None
        if self._parser is not None and not request.raw:
            parser = self._parser(self._tokenizer, None, chat_template_kwargs=template, model_config=self._config)
            asked = parser.adjust_request(asked)  # it may need the special tokens in the text
        params = asked.to_sampling_params(request.sampling.max_tokens, self._defaults)
        try:
            name = self._enqueue(request, params, template)
        except self._refusal as error:  # too long, above all
            raise Refused(str(error)) from error
        self._batch[name] = (request, asked, parser, time.monotonic())
        return str(name)

    def _enqueue(self, request: Request, params: Any, template: dict[str, Any]) -> str:
        if request.raw:
            (name,) = self._llm.enqueue([request.text], params, use_tqdm=False)
        else:
            chat = messages_of(request)
            (name,) = self._llm.enqueue_chat([chat], params, use_tqdm=False, chat_template_kwargs=template)
        return str(name)

    def step(self) -> Mapping[str, Outcome]:
        """See `Engine.step`."""
        named = {name.partition("-")[0]: name for name in self._batch}  # an output bears its name's first part
        ended = [(named[output.request_id], output) for output in self._llm.llm_engine.step() if output.finished]
        return {name: self._outcome(name, output) for name, output in ended}

    def _outcome(self, name: str, output: Any) -> Outcome:
        request, asked, parser, started = self._batch.pop(name)
        (choice,) = output.outputs
        finish = str(choice.finish_reason or "")
        if finish in {"error", "abort"}:
            return CallUnfinished(f"vLLM ended the call with {finish!r}")
        reasoning, answer = None, choice.text
        if parser is not None:
            parser.set_prompt_token_ids(output.prompt_token_ids)
            reasoning, answer, _ = parser.parse(answer, asked, model_output_token_ids=choice.token_ids)
        if not reasoning:
            reasoning, answer = split_think(answer or "")
        return request.reply(
            status_of(request.step, finish, reasoning, answer or ""),
            reasoning=reasoning,
            answer=answer or "",
            tokens=_tokens(choice) if request.logprobs else (),
            finish_reason=finish,
            model=self._recipe.model,
            prompt_tokens=len(output.prompt_token_ids),
            completion_tokens=len(choice.token_ids),
            latency_s=round(time.monotonic() - started, 4),
        )

    def abort(self, name: str) -> None:
        """See `Engine.abort`."""
        del self._batch[name]
        self._llm.llm_engine.abort_request([name], internal=True)

    def close(self) -> None:
        """See `Engine.close`."""
        self._llm.llm_engine.engine_core.shutdown()


def _tokens(choice: Any) -> tuple[TokenChoice, ...]:
    """The tokens of a vLLM output, whose log probabilities are a mapping from token ids for each."""
    return tuple(
        TokenChoice(at[chosen].decoded_token or "", float(at[chosen].logprob), _others(at.values()))
        for chosen, at in zip(choice.token_ids, choice.logprobs or (), strict=False)
    )


def _others(at: Iterable[Any]) -> tuple[tuple[str, float], ...]:
    return tuple((one.decoded_token or "", float(one.logprob)) for one in sorted(at, key=lambda one: one.rank))
