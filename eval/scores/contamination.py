"""Which items of a run's tasks are in the mixture that its guard was trained on, and F1 without them.

The comparison is that of `train mix` (train/decontaminate.py), the other way round: the mixture's prompts are
the index, and every item's prompt is held against it: equal, equal but for case and punctuation, or sharing n-grams.
The text of a prompt is cut out of the guard's instructions before, which every row of a mixture has in common.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.eval.scores.measure import Metric, Score
from safety_reasoning.eval.scores.policy import DEFAULT, Policy
from safety_reasoning.eval.scores.score import DRAWS, score_task
from safety_reasoning.train.conversations import OWN_VARIABLE
from safety_reasoning.train.decontaminate import HeldOutText, Index, build_index
from safety_reasoning.train.mixture_recipe import DecontaminateRecipe

KINDS = ("exact", "normalised", "ngram")
_MIXTURE = "mixture"
_PROMPTS: Mapping[str, str] = {
    "classify_safety": "prompt",
    "classify_safety_no_reasoning": "prompt",
    "classify_topic": "last_user_message",
    "classify_topic_no_reasoning": "last_user_message",
}
"""The prompts that mixtures are made with, and which variable of each is the text that is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The texts of a mixture, ready to be compared with."""

    index: Index
    rows: int
    texts: int
    """Different ones."""
    uncut: int
    """Rows whose prompt is none of ours: compared with their instructions, so that nothing in them equals an item."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "mixture_rows": self.rows,
            "mixture_texts": self.texts,
            "mixture_uncut": self.uncut,
            "n": self.index.n,
            "min_share": self.index.min_share,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """One task."""

    task: str
    items: int
    """With a text to compare."""
    without_text: int
    """Items of the run whose text is not known; they are taken for clean, and counted here."""
    found: Mapping[str, int]
    """Contaminated items by kind: exact, normalised, ngram."""
    too_short: int
    """Items of fewer words than an n-gram that equal no text of the mixture: no more can be said of them."""
    keys: Mapping[str, str]
    """The contaminated items, and the kind of each."""
    all_rows: Score
    clean: Score | None
    """Without the contaminated items; None where none is left, or where no item's text is known."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "items": self.items,
            "without_text": self.without_text,
            "found": dict(self.found),
            "too_short": self.too_short,
            "keys": dict(self.keys),
            "f1": self.all_rows.f1.as_json(),
            "f1_without": None if self.clean is None else self.clean.f1.as_json(),
            "auroc": self.all_rows.measures[Metric.AUROC].as_json(),
            "auroc_without": None if self.clean is None else self.clean.measures[Metric.AUROC].as_json(),
        }


def trained_on(
    records: Iterable[Mapping[str, Any]], *, n: int, min_share: float, own_prompt: str | None = None
) -> Trained:
    """The index of a mixture's rows (train/mixture_write.py).

    `own_prompt`: what its rows have in place of the project's prompts, as mixture.json states it.
    """
    rows = uncut = 0
    texts: dict[str, int] = {}
    for number, record in enumerate(records, start=1):
        rows = number
        said = " ".join(message["content"] for message in record["prompt"] if message["role"] == "user")
        text = asked_about(said, own_prompt)
        uncut += text is None
        texts.setdefault(said if text is None else text, number)
    held = (HeldOutText(_MIXTURE, number, text) for text, number in texts.items())
    return Trained(index=build_index(held, n=n, min_share=min_share), rows=rows, texts=len(texts), uncut=uncut)


def asked_about(prompt: str, own_prompt: str | None = None) -> str | None:
    """What a guard's prompt asks about, without the instructions; None if it is neither the project's nor its own."""
    if own_prompt is not None:
        return _between(prompt, *own_prompt.split(OWN_VARIABLE))
    for name, variable in _PROMPTS.items():
        pieces = load_prompt(name).pieces
        place = pieces.index(variable, 1)
        found = _between(prompt, pieces[place - 1], pieces[place + 1])
        if pieces[0] in prompt and pieces[-1] in prompt and found is not None:
            return found
    return None


def _between(prompt: str, before: str, after: str) -> str | None:
    start, end = prompt.find(before), prompt.rfind(after)
    return prompt[start + len(before) : end] if 0 <= start <= end - len(before) else None


def contamination(
    rows: pl.DataFrame,
    texts: Mapping[tuple[str, str], str],
    trained: Trained,
    *,
    policy: Policy = DEFAULT,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Contamination]:
    """Every task of a run, sorted; `texts` are the items' prompts by task and key."""
    found = []
    for (name,), part in sorted(rows.group_by("task"), key=lambda one: str(one[0][0])):
        task = str(name)
        known = {key: texts[task, key] for key in sorted(part["item"].unique()) if (task, key) in texts}
        kinds, too_short = _judged(known, trained.index)
        clean = part.filter(~pl.col("item").is_in(list(kinds)))
        found.append(
            Contamination(
                task=task,
                items=len(known),
                without_text=part["item"].n_unique() - len(known),
                found={kind: Counter(kinds.values())[kind] for kind in KINDS},
                too_short=too_short,
                keys=kinds,
                all_rows=score_task(part, policy=policy, draws=draws, seed=seed),
                clean=score_task(clean, policy=policy, draws=draws, seed=seed) if known and len(clean) else None,
            )
        )
    return found


def _judged(texts: Mapping[str, str], index: Index) -> tuple[dict[str, str], int]:
    """(kind of each contaminated item, items too short to judge)."""
    kinds: dict[str, str] = {}
    too_short = 0
    for key, text in texts.items():
        verdict = index.judge(text)
        if verdict == "too_short":
            too_short += 1
        elif verdict is not None:
            kinds[key] = verdict.kind
    return kinds, too_short


def own_prompt(stated: Mapping[str, Any]) -> str | None:
    """The prompt that a mixture's rows have in place of the project's, if mixture.json states one."""
    own = stated.get("prompt")
    return own if isinstance(own, str) and own.count(OWN_VARIABLE) == 1 else None


def thresholds(stated: Mapping[str, Any]) -> tuple[int, float]:
    """(n, share) that a mixture was decontaminated with; the defaults of `train mix` where it was not."""
    judged = stated.get("decontamination") or {}
    n, share = (judged.get(name, DecontaminateRecipe.model_fields[name].default) for name in ("ngram", "min_share"))
    return int(n), float(share)
