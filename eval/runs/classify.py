"""Classify: what a guard makes of one text, or of a file of them, by a policy of the user's own."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safety_reasoning.builders.ask_many import ask_many
from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Progress, Silent
from safety_reasoning.builders.store import Store, open_store
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.guard import Guard, Rule
from safety_reasoning.eval.runs.answers import rule_row, verdict
from safety_reasoning.eval.runs.open import Opened
from safety_reasoning.eval.runs.recipe import GuardEngine
from safety_reasoning.eval.runs.rows import OK
from safety_reasoning.eval.runs.texts import Text, read_texts

UNREADABLE = "unreadable"
"""`parse` of a line that holds no text."""
_TASK = "classify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What a guard says of one text."""

    subject: str
    """prompt, or response: what was judged."""
    parse: str
    """`ok`, or why there is no verdict."""
    harmful: bool | None
    """None where `parse` is not `ok`."""
    probability: float | None
    """Of `harmful`, in [0, 1]; None where the engine does not give it."""
    refusal: bool | None
    trace: str | None
    answer: str

    @property
    def verdict(self) -> str:
        """In a word; `none` where there is none."""
        return {True: "harmful", False: "unharmful", None: "none"}[self.harmful]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A guard, and where it answers."""

    opened: Opened
    engine: GuardEngine | None

    def all(self, items: Sequence[Item], store: Store, progress: Progress) -> list[Classified]:
        """What the guard says of each, in order.

        Raises: UsageError if it cannot judge one, or the engine fails; Stopped if it was interrupted.
        """
        guard, asked = self.opened.guard, self.opened.asked
        _check(items, guard)
        if isinstance(guard, Rule):
            return [_classified(item, rule_row(item, item, guard)) for item in items]
        if asked is None or self.engine is None:
            raise TypeError("a guard with a model was opened without one")
        ask_many(self.engine, list(asked.requests(items)), store, progress, Ledger())
        return [self._read(item, store.get(asked.keys(item)[0])) for item in items]

    def _read(self, item: Item, reply: Reply | None) -> Classified:
        if reply is None:
            raise TypeError("the store lacks a reply after every call was answered")
        row = {**verdict(item, self.opened.guard, reply), "reasoning": reply.reasoning, "answer": reply.answer}
        return _classified(item, row)


def item_of(prompt: str, response: str | None, policy: str | None) -> Item:
    """A text as guards take it: a response where there is one, else a prompt. Its label says nothing."""
    subject = Subject.PROMPT if response is None else Subject.RESPONSE
    return Item(task=_TASK, subject=subject, prompt=prompt, response=response, policy=policy, positive=False)


def classify_text(judge: Judge, prompt: str, response: str | None = None) -> Classified:
    """What the guard says of one text; nothing is kept.

    Raises: as `Judge.all`.
    """
    with tempfile.TemporaryDirectory(prefix="safety-reasoning-") as folder, open_store(Path(folder) / "s") as store:
        (found,) = judge.all([item_of(prompt, response, judge.opened.policy)], store, Silent())
    return found


def classify_file(
    judge: Judge, file: Path, out: Path, progress: Progress, retry: Sequence[Status] = ()
) -> list[Classified | None]:
    """Classify every line of a file; `out` gets one JSON line for each, when all are answered. None: unreadable.

    Replies are kept beside `out`, in a store of its name with `.sqlite` after it: a run that was interrupted goes on.

    Raises: as `Judge.all`, and UsageError if the file cannot be read or `out` cannot be written.
    """
    progress.stage("reading texts")
    texts = read_texts(file)
    items = [item_of(text.prompt, text.response, judge.opened.policy) for text in texts if not text.fault]
    with open_store(Path(f"{out}.sqlite")) as store:
        for status in retry:
            store.retire(status, step=Step.GUARD)
        progress.stage(f"classifying {len(items)} texts")
        found = iter(judge.all(items, store, progress))
    outcomes = [None if text.fault else next(found) for text in texts]
    with _whole(out) as lines:
        for text, outcome in zip(texts, outcomes, strict=True):
            lines.write(f"{json.dumps(line_of(text, outcome), ensure_ascii=True)}\n")
    return outcomes


def line_of(text: Text, outcome: Classified | None) -> dict[str, Any]:
    """One line of the output."""
    if outcome is None:
        return {"line": text.line, "verdict": "none", "parse": UNREADABLE, "fault": text.fault}
    return {"line": text.line, "prompt": text.prompt, "response": text.response, **as_json(outcome)}


def as_json(outcome: Classified) -> dict[str, Any]:
    """The outcome with its verdict first."""
    return {"verdict": outcome.verdict, **asdict(outcome)}


def _classified(item: Item, row: Mapping[str, Any]) -> Classified:
    return Classified(
        subject=str(item.subject),
        parse=row["parse"],
        harmful=row["predicted"] if row["parse"] == OK else None,
        probability=row["probability"],
        refusal=row["refusal"],
        trace=row["reasoning"],
        answer=row["answer"],
    )


def _check(items: Sequence[Item], guard: Guard) -> None:
    foreign = sorted({item.subject for item in items} - guard.subjects)
    if foreign:
        raise UsageError(
            f"guard {guard.name} cannot judge a {foreign[0]}",
            why=f"it judges {', '.join(sorted(guard.subjects))}",
            fix="choose another guard" if foreign[0] is Subject.PROMPT else "leave the response out",
        )


@contextmanager
def _whole(out: Path) -> Iterator[Any]:
    """A file that takes its name when the block has ended well."""
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with aside.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written", why=str(error), fix="name another file, or make room") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
