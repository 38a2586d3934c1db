"""A mixture whose rows have the lengths of real ones: the paper's prompt, and traces of a few hundred words."""

import random
from pathlib import Path

from safety_reasoning.builders.samples import ContentSafetySample, digest
from safety_reasoning.train.conversations import conversation
from safety_reasoning.train.mixture_stated import write_stated
from safety_reasoning.train.mixture_write import MixtureWriter, row_of

_TEXT = """the request asks for a way to and response of harm it user policy category under falls neither nor describes
violence privacy question about whether so that because however none safe unsafe information"""
_MEDIAN, _SPREAD, _LONGEST = 350, 0.5, 2000
"""Words of a trace: log-normal, as traces of reasoning models are."""


def write_rows(folder: Path, count: int) -> list[str]:
    """Write a mixture of so many rows; the texts of the first hundred."""
    rng = random.Random(0)  # noqa: S311 - makes texts, no secret
    texts: list[str] = []
    with MixtureWriter(folder, None) as writer:
        for number in range(count):
            sample = _sample(number, rng)
            said = conversation(sample, _said(rng, _length(rng)))
            writer.add(row_of(sample, "reasoning", "nobody", said, None))
            texts += [message["content"] for message in (*said["prompt"], *said["completion"])] if number < 100 else []
    stated = {
        "format": 1,
        "name": "Speed",
        "version": "0.1.0",
        "hash": writer.hash,
        "rows": writer.rows,
        "mode": "reasoning",
        "trace": "full",
        "mark": None,
        "seed": 0,
        "parts": [],
        "counts": {name: dict(sorted(counter.items())) for name, counter in writer.counts.items()},
    }
    write_stated(folder, stated)
    return texts


def _sample(number: int, rng: random.Random) -> ContentSafetySample:
    prompt = _said(rng, rng.randint(5, 120))
    return ContentSafetySample(
        key=digest([str(number)]),
        prompt=prompt,
        response=_said(rng, rng.randint(20, 300)),
        prompt_harm="harmful",
        response_harm="unharmful",
        refusal=None,
        taxonomy="wildguard",
        published={},
    )


def _length(rng: random.Random) -> int:
    return min(round(rng.lognormvariate(0, _SPREAD) * _MEDIAN), _LONGEST)


def _said(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_TEXT.split(), k=words))
