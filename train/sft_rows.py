"""A mixture's rows as tokens: what a model reads, what it is taught, and how much each token counts.

The prompt and the completion are tokenised apart and joined, as they are when the guard is asked and answers. So
the loss is on the completion's tokens and no other, whatever a prompt contains.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from safety_reasoning.builders.verdicts import END_THINK
from safety_reasoning.errors import UsageError

IGNORED = -100
"""The label of a token that is not taught."""
_HARM = re.compile(r"(?<=harm: )\S+")


@dataclass(frozen=True, slots=True)
class Tokens:
    """One row."""

    key: str
    task: str
    mode: str
    prompt: "array[int]"
    completion: "array[int]"
    verdict: bytes
    """1 for each token of the completion that is part of a verdict, else 0."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)

    def columns(self, verdict_weight: float) -> dict[str, Any]:
        """What the trainer is given; labels and weights are beside the token that they are for."""
        skipped = [IGNORED] * len(self.prompt)
        weights = [verdict_weight if said else 1.0 for said in self.verdict]
        return {
            "input_ids": [*self.prompt, *self.completion],
            "labels": [*skipped, *self.completion],
            "weights": [0.0] * len(self.prompt) + weights,
        }


def ids(tokens: Iterable[int]) -> "array[int]":
    """Token ids at 4 bytes each; a list takes nine times as much."""
    return array("i", tokens)


Tokenizer = Callable[[Mapping[str, Any]], Tokens]


def row_tokenizer(tokenizer: Any, template: str) -> Tokenizer:
    """A function from a mixture's row to its tokens, in the chat template given.

    It raises UsageError if the template does not keep a completion as it is (some cut traces out of it), or if a
    completion's tokens, joined to the prompt's, no longer spell the chat.
    """
    seen: set[tuple[str, str]] = set()

    def tokens(row: Mapping[str, Any]) -> Tokens:
        prompt, completion = _rendered(tokenizer, template, row)
        answer = row["completion"][-1]["content"]
        said = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=True)
        asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if (row["task"], row["mode"]) not in seen:
            seen.add((row["task"], row["mode"]))
            _check_joint(tokenizer, asked, said["input_ids"], prompt + completion)
        spans = verdict_spans(answer)  # the completion begins with the answer
        verdict = bytes(
            any(first < end and last > begin for first, last in spans) for begin, end in said["offset_mapping"]
        )
        return Tokens(row["key"], row["task"], row["mode"], ids(asked), ids(said["input_ids"]), verdict)

    return tokens


def verdict_spans(answer: str) -> list[tuple[int, int]]:
    """Where in a completion the verdicts stand: the words after `harm: `, or the whole topic answer."""
    head, tag, after = answer.rpartition(END_THINK)
    start = len(head) + len(tag)
    spans = [(start + found.start(), start + found.end()) for found in _HARM.finditer(after)]
    if spans:
        return spans
    word = after.strip()
    return [(start + after.index(word), start + after.index(word) + len(word))]


def _rendered(tokenizer: Any, template: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """The prompt up to where the guard answers, and all that follows: the completion and the end of its turn."""
    options = {"tokenize": False, "chat_template": template, **(row.get("chat_template_kwargs") or {})}
    try:
        prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, **options)
        whole = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], **options)
    except jinja2.TemplateError as error:
        raise UsageError(
            "the chat template cannot be rendered",
            why=f"{type(error).__name__}: {error}",
            fix="give [model] `chat_template`, a Jinja file that takes a user's turn and the assistant's",
        ) from error
    completion = whole[len(prompt) :] if whole.startswith(prompt) else ""
    if not completion.startswith(row["completion"][-1]["content"]):
        raise UsageError(
            f"the chat template changes the completions ({row['task']}, {row['mode']})",
            why="the chat with the completion is not the chat without it and then the completion, word for word; "
            "some templates cut reasoning out, or put an empty trace before what has none",
            fix="give [model] `chat_template`, a Jinja file that leaves both as they are",
        )
    return str(prompt), str(completion)


def _check_joint(tokenizer: Any, prompt: Sequence[int], completion: Sequence[int], text: str) -> None:
    if tokenizer.decode([*prompt, *completion]) != tokenizer.decode(
        tokenizer(text, add_special_tokens=False)["input_ids"]
    ):
        raise UsageError(
            "the tokenizer does not spell a completion by itself as it does after its prompt",
            why="it puts something before every text",
            fix="choose a model whose tokenizer does not",
        )
