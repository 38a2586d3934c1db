"""What a guard thinks of prompts: the log-probability of each verdict, after its own reasoning where it reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from safety_reasoning.train.conversations import Mark
from safety_reasoning.train.model_load import open_base
from safety_reasoning.train.sft_recipe import ModelRecipe
from train_demo.rows import question

_LEAD = "Prompt harm:"
_VERDICTS = (" harmful", " unharmful")
_BATCH = 32
_TRACE_TOKENS = 32
"""A trace of the mixture has at most about 20; one that does not end within these is no reasoning."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a guard thinks of one prompt."""

    score: float
    """log P(harmful) - log P(unharmful), in nats; 0 where it came to no verdict."""
    reached: bool
    """Whether it came to one."""


class Guard:
    """A model that is asked as the mixture's rows ask; `mark` is the mixture's."""

    def __init__(self, model: Any, tokenizer: Any, mark: Mark | None) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._tokenizer.padding_side = "left"
        self._mark = mark

    def opinions(self, prompts: Sequence[str], *, reasoning: bool = False) -> list[Opinion]:
        """Its opinion of each prompt."""
        asked = [self._chat(prompt, reasoning) for prompt in prompts]
        order = sorted(range(len(asked)), key=lambda place: len(asked[place]))
        found: dict[int, Opinion] = {}
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            texts = [asked[place] for place in places]
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                thought = self._think(texts) if reasoning else list(texts)
                scores = self._scores([f"{text or ''}{_LEAD}" for text in thought])
            for place, text, score in zip(places, thought, scores, strict=True):
                found[place] = Opinion(0.0, False) if text is None else Opinion(score, True)
        return [found[place] for place in range(len(prompts))]

    def _chat(self, prompt: str, reasoning: bool) -> str:
        text = question(prompt, mark=self._mark, reasoning=reasoning)
        chat = [{"role": "user", "content": text}]
        return str(self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    def _think(self, texts: Sequence[str]) -> list[str | None]:
        """The texts with the guard's trace after each; None where it does not end one."""
        batch = self._tokenizer(list(texts), return_tensors="pt", padding=True, add_special_tokens=False)
        said = self._model.generate(
            **batch, max_new_tokens=_TRACE_TOKENS, do_sample=False, tokenizer=self._tokenizer, stop_strings="</think>"
        )
        traces = self._tokenizer.batch_decode(said[:, batch["input_ids"].shape[1] :])
        ended = [trace.partition("</think>") for trace in traces]
        return [f"{text}{head}{end}\n\n" if end else None for text, (head, end, _) in zip(texts, ended, strict=True)]

    def _scores(self, texts: Sequence[str]) -> list[float]:
        """How much more likely the first verdict is than the second, after each text."""
        first, second = (self._tokenizer(verdict, add_special_tokens=False)["input_ids"] for verdict in _VERDICTS)
        return [
            a - b
            for a, b in zip(self._log_probability(texts, first), self._log_probability(texts, second), strict=True)
        ]

    def _log_probability(self, texts: Sequence[str], verdict: Sequence[int]) -> list[float]:
        batch = self._tokenizer(list(texts), return_tensors="pt", padding=True, add_special_tokens=False)
        after = torch.tensor([list(verdict)] * len(texts))  # (batch, verdict)
        ids = torch.cat([batch["input_ids"], after], dim=1)
        mask = torch.cat([batch["attention_mask"], torch.ones_like(after)], dim=1)
        logits = self._model(input_ids=ids, attention_mask=mask, logits_to_keep=len(verdict) + 1).logits
        said = logits[:, :-1].float().log_softmax(-1).gather(2, after[:, :, None])  # (batch, verdict, 1)
        return [float(value) for value in said.sum(dim=(1, 2))]


def guard_in(folder: Path, mark: Mark | None) -> Guard:
    """The guard that a training left in a folder."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return Guard(model, AutoTokenizer.from_pretrained(folder), mark)


def untrained(recipe: ModelRecipe) -> Guard:
    """The model that a recipe begins with."""
    base = open_base(recipe)
    return Guard(base.weights(torch.float32), base.tokenizer, None)
