"""Answers: a reply, or a rule's word, as a row of the run's file. Pure, and never raises for what a guard says."""

from typing import Any

from safety_reasoning.builders.calls import Reply, Status
from safety_reasoning.builders.verdicts import END_THINK, Fault
from safety_reasoning.eval.benchmarks.item import Item
from safety_reasoning.eval.guards.guard import Guard, Rule
from safety_reasoning.eval.runs.rows import OK


def answer_row(item: Item, judged: Item, guard: Guard, reply: Reply, *, timed: bool) -> dict[str, Any]:
    """The row of one generation; `judged` is the item as the guard was asked about it.

    A reply that did not end well has no verdict, whatever its text begins with. `timed`: latency says something. A
    prompt or a reply of no token is one that the engine did not count: how many there were is not known.
    """
    read = verdict(judged, guard, reply)
    trace = trace_tokens(reply) if reply.completion_tokens else None
    return {
        **_of_item(item),
        "generation": reply.sample_index,
        "status": str(reply.status),
        "finish_reason": reply.finish_reason,
        "reasoning": _text(reply.reasoning),
        "answer": _text(reply.answer),
        **read,
        "prompt_tokens": reply.prompt_tokens or None,
        "trace_tokens": trace,
        "answer_tokens": None if trace is None else reply.completion_tokens - trace,
        "latency_s": reply.latency_s if timed else None,
    }


def rule_row(item: Item, judged: Item, guard: Rule) -> dict[str, Any]:
    """The row of a guard without a model."""
    answer = guard.answer(judged)
    reading = guard.read(judged, answer)
    return {
        **_of_item(item),
        "generation": 0,
        "status": str(Status.OK),
        "finish_reason": "",
        "reasoning": None,
        "answer": answer,
        "parse": OK if reading.positive is not None else str(reading.fault or Fault.NO_VERDICT),
        "predicted": reading.positive,
        "refusal": reading.refusal,
        "probability": None,
        "prompt_tokens": 0,
        "trace_tokens": 0,
        "answer_tokens": 0,
        "latency_s": None,
    }


def verdict(judged: Item, guard: Guard, reply: Reply) -> dict[str, Any]:
    """The columns `parse`, `predicted`, `refusal` and `probability`."""
    nothing: dict[str, Any] = {"predicted": None, "refusal": None, "probability": None}
    if reply.status is not Status.OK:
        return {"parse": str(reply.status), **nothing}
    reading = guard.read(judged, reply.answer)
    if reading.positive is None:
        return {"parse": str(reading.fault or Fault.NO_VERDICT), **nothing}
    return {
        "parse": OK,
        "predicted": reading.positive,
        "refusal": reading.refusal,
        "probability": guard.probability(judged, reply.tokens) if reply.tokens else None,
    }


def trace_tokens(reply: Reply) -> int:
    """Tokens of the reasoning: by its share of the reply's tokens where they are known, else of its characters."""
    if not reply.reasoning:
        return 0
    trace, whole = _counted(reply) or (len(reply.reasoning), len(reply.reasoning) + len(reply.answer))
    return round(reply.completion_tokens * trace / whole)


def _counted(reply: Reply) -> tuple[int, int] | None:
    """(tokens up to the end of the last `</think>`, all tokens); None where they are not known, or say no such thing.

    The end of a text is a token to some servers and none to others, so only the share of these counts.
    """
    end = "".join(token.token for token in reply.tokens).rfind(END_THINK)
    if end < 0:
        return None
    chars = 0
    for count, token in enumerate(reply.tokens, start=1):
        chars += len(token.token)
        if chars >= end + len(END_THINK):
            return count, len(reply.tokens)
    return None


def _of_item(item: Item) -> dict[str, Any]:
    return {
        "task": item.task,
        "item": item.key,
        "subject": str(item.subject),
        "positive": item.positive,
        "category": item.category,
        "domain": item.domain,
        "chars": item.chars,
    }


def _text(text: str | None) -> str | None:
    """As UTF-8 can hold it: a lone surrogate is written as its escape."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
