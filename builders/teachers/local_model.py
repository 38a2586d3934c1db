"""A model of the Hub or of a folder, loaded with transformers, that answers batches of requests."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from safety_reasoning.builders.calls import Reply, Request, Status, TokenChoice
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.teachers.completion import messages_of, status_of, template_of
from safety_reasoning.builders.teachers.embedded import model_file
from safety_reasoning.builders.teachers.protocol import TeacherStopped
from safety_reasoning.builders.teachers.sampler import Limits, Row, Sampler, row_of
from safety_reasoning.builders.verdicts import THINK, split_think
from safety_reasoning.errors import UsageError

EMBEDDED = "embedded"


class LocalModel:
    """See `transformers.Model`."""

    def __init__(self, recipe: EngineRecipe) -> None:
        self._name = recipe.model
        try:
            self._model, self._tokenizer = _load(recipe)
        except UsageError as error:
            raise TeacherStopped(str(error)) from error
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise TeacherStopped(f"transformers cannot load {recipe.model!r}: {said}") from error
        self._ends = _ends(self._model, self._tokenizer)
        self._context = _context(self._model)
        self._pieces: dict[tuple[int, int], str] = {}

    def answer(self, requests: Sequence[Request], given_up: Callable[[], bool]) -> list[Reply]:
        """See `Model.answer`. A batch that does not fit into memory is answered in halves."""
        outcomes = [self._prepare(request) for request in requests]
        ready = [outcome for outcome in outcomes if not isinstance(outcome, Reply)]
        answered = iter(self._in_halves(ready, given_up))
        return [outcome if isinstance(outcome, Reply) else next(answered) for outcome in outcomes]

    def _prepare(self, request: Request) -> "tuple[Row, list[int], bool] | Reply":
        """(its row, its tokens, whether the prompt opens the reasoning), or the refusal of a call."""
        try:
            text = request.text if request.raw else self._templated(request)
            if text is None:
                return request.reply(Status.REJECTED, error="the chat template leaves out what it is to judge")
            text.encode()
        except UnicodeEncodeError:
            return request.reply(Status.REJECTED, error="the text holds a lone surrogate")
        except Exception as error:  # what a template raises is its own
            return request.reply(Status.REJECTED, error=f"the chat template refuses it: {type(error).__name__}")
        try:
            ids = self._tokenizer(text, add_special_tokens=request.raw and not self._begins(text))["input_ids"]
            row = row_of(request, min(request.sampling.max_tokens, self._context - len(ids)))
        except UsageError as error:
            raise TeacherStopped(str(error)) from error
        if row.limit < 1:
            words = f"the prompt has {len(ids)} tokens, the model takes {self._context}"
            return request.reply(Status.REJECTED, error=words)
        return row, ids, not request.raw and text.rstrip().endswith(THINK)

    def _templated(self, request: Request) -> str | None:
        """The prompt; None if no message is in it.

        Templates of models that also see images read a message's parts, and show nothing of a text.
        """
        arguments: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True, **template_of(request)}
        in_parts = [{"role": turn.role, "content": [{"type": "text", "text": turn.content}]} for turn in request.chat]
        for chat in (messages_of(request), in_parts):
            text = str(self._tokenizer.apply_chat_template(chat, **arguments))
            if any(turn.content.strip() in text for turn in request.chat):
                return text
        return None

    def _begins(self, text: str) -> bool:
        """Whether a raw text has its first token already."""
        first = self._tokenizer.bos_token
        return bool(first) and text.startswith(first)

    def _in_halves(self, batch: "list[tuple[Row, list[int], bool]]", given_up: Callable[[], bool]) -> list[Reply]:
        import torch

        if not batch:
            return []
        try:
            return self._generate(batch, given_up)
        except torch.OutOfMemoryError:
            for row, _, _ in batch:
                row.generator, row.drawn = None, []
            torch.cuda.empty_cache()
        if len(batch) == 1:
            return [batch[0][0].request.reply(Status.REJECTED, error="it does not fit into the GPU's memory")]
        half = len(batch) // 2
        return [*self._in_halves(batch[:half], given_up), *self._in_halves(batch[half:], given_up)]

    def _generate(self, batch: "list[tuple[Row, list[int], bool]]", given_up: Callable[[], bool]) -> list[Reply]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        started = time.monotonic()
        rows, longest = [row for row, _, _ in batch], max(len(ids) for _, ids, _ in batch)
        pad = self._tokenizer.pad_token_id
        pad = self._ends[0] if pad is None else pad
        padded = torch.tensor([[pad] * (longest - len(ids)) + ids for _, ids, _ in batch])  # (batch, longest)
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for _, ids, _ in batch])
        config = GenerationConfig(
            do_sample=False, max_new_tokens=max(row.limit for row in rows), eos_token_id=self._ends, pad_token_id=pad
        )
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=padded.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                generation_config=config,
                logits_processor=LogitsProcessorList([Sampler(rows)]),
                stopping_criteria=StoppingCriteriaList([Limits(rows, longest, given_up)]),
            )[:, longest:].tolist()
        took_s = time.monotonic() - started
        return [self._reply(*one, tokens, took_s) for one, tokens in zip(batch, made, strict=True)]

    def _reply(self, row: Row, prompt: list[int], opened: bool, made: list[int], took_s: float) -> Reply:
        request = row.request
        made = made[: row.limit]
        end = next((place for place, token in enumerate(made) if token in self._ends), None)
        finish = "length" if end is None else "stop"
        said = made if end is None else made[:end]
        text = self._tokenizer.decode(said, skip_special_tokens=True)
        reasoning, answer = split_think(f"{THINK}{text}" if opened else text)
        return request.reply(
            status_of(request.step, finish, reasoning, answer),
            reasoning=reasoning,
            answer=answer,
            tokens=self._tokens(row, len(said)),
            finish_reason=finish,
            model=Path(self._name).name if self._name.startswith("/") else self._name,
            prompt_tokens=len(prompt),
            completion_tokens=len(said) if end is None else end + 1,
            latency_s=round(took_s, 4),
        )

    def _tokens(self, row: Row, count: int) -> tuple[TokenChoice, ...]:
        """Tokens as texts that give the answer when they are joined."""
        tokens, before = [], -1
        for drawn in row.drawn[:count]:
            others = tuple((self._piece(before, token), logprob) for token, logprob in drawn.others)
            tokens.append(TokenChoice(self._piece(before, drawn.token), drawn.logprob, others))
            before = drawn.token
        return tuple(tokens)

    def _piece(self, before: int, token: int) -> str:
        """A token's text after another: some vocabularies drop the space that a text begins with."""
        known = self._pieces.get((before, token))
        if known is None:
            ahead = self._tokenizer.decode([before]) if before >= 0 else ""
            both = self._tokenizer.decode([before, token] if before >= 0 else [token])
            known = both[len(ahead) :] if both.startswith(ahead) else self._tokenizer.decode([token])
            self._pieces[before, token] = known
        return known


def _load(recipe: EngineRecipe) -> tuple[Any, Any]:
    """(model, tokenizer), without running code that comes with them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # warnings may quote a prompt
    logging.disable_progress_bar()
    gpu = recipe.transformers.device != "cpu" and torch.cuda.is_available()
    if recipe.transformers.device == "cuda" and not gpu:
        raise UsageError("transformers.device is cuda, and there is no GPU here", fix="leave it out, or say cpu")
    dtype = recipe.transformers.dtype
    place, options = _place(recipe)
    tokenizer = AutoTokenizer.from_pretrained(place, **options)
    if "gguf_file" not in options:
        options["use_safetensors"] = True
    if gpu:
        options["device_map"] = "auto"
    if dtype == "auto" and not gpu:
        dtype = "float32"  # CPUs are slow at the others
    model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, **options)
    return model.eval(), tokenizer


def _place(recipe: EngineRecipe) -> tuple[str | Path, dict[str, Any]]:
    if recipe.model == EMBEDDED:
        file = model_file()
        return file.parent, {"gguf_file": file.name}
    return recipe.model, {} if recipe.revision is None else {"revision": recipe.revision}


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a reply: the model's own and its tokenizer's."""
    own = model.generation_config.eos_token_id
    ends = list(own) if isinstance(own, list | tuple) else [own]
    found = sorted({int(end) for end in (*ends, tokenizer.eos_token_id) if end is not None})
    if not found:
        raise UsageError("the model names no token that ends a reply", fix="choose one that chats")
    return found


def _context(model: Any) -> int:
    """Tokens that the model takes, prompt and reply together."""
    config = model.config.get_text_config()
    with suppress(AttributeError, TypeError):
        return int(config.max_position_embeddings)
    return 2**20
