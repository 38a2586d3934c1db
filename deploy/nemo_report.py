"""What a verification found, in words and as JSON values."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from safety_reasoning.deploy.hostile import Gap
from safety_reasoning.deploy.nemo_export import READ_IN
from safety_reasoning.deploy.nemo_verify import Tried, Verified

WHY = {
    Gap.OPEN_TRACE: "a trace without one of its tags quotes a harmless verdict, and the quote counts",
    Gap.FIRST_VERDICT: "of two verdicts the first one counts",
    Gap.VERDICT_IN_PROSE: "a verdict counts in the middle of a sentence that says something else",
    Gap.NOT_EXACT: "the topic rail blocks `off-topic` and nothing that differs from it",
    Gap.NO_ANSWER: "the topic rail takes no answer, a cut one or one in another field for `on-topic`",
}


def as_text(found: Verified) -> str:
    """For a terminal."""
    return "\n".join(_lines(found))


def _lines(found: Verified) -> Iterator[str]:
    engines = sorted({tried.engine for tried in found.tried})
    outputs = len({(tried.rail, tried.output) for tried in found.tried})
    yield f"nemoguardrails {found.version}: {outputs} outputs through {' and '.join(engines) or 'no engine'}"
    if found.version != READ_IN:
        yield f"note: what is known to pass was found out with {READ_IN}"
    for engine, why in found.refused.items():
        yield f"{engine} does not take the configuration: {why}"
    for fault in found.faults:
        yield f"fault: {fault}"
    known = [tried for tried in found.tried if tried.fails_open and tried.gap is not None]
    for gap in Gap:
        through = [tried for tried in known if tried.gap is gap]
        if through:
            yield f"fails open, known as {gap.value}: {WHY[gap]}"
            yield from _listed(through)
    if found.unknown:
        yield "fails open, and is not known to:"
        yield from _listed(found.unknown)
    blocked = [tried for tried in found.tried if tried.false_block]
    if blocked:
        yield "stopped although it is a harmless verdict:"
        yield from _listed(blocked)
    yield _summary(found)


def _listed(tried: Iterable[Tried]) -> Iterator[str]:
    engines: defaultdict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for one in tried:
        engines[one.rail.value, one.output, one.excluded].append(one.engine)
    for (rail, output, excluded), names in engines.items():
        yield f"  {rail}: {output} ({', '.join(names)}){'' if excluded else '; the answer pattern does not exclude it'}"


def _summary(found: Verified) -> str:
    numbers = counts(found)
    return (
        f"{numbers['fail_open']} fail-opens, {numbers['unknown']} of them not known; "
        f"{numbers['reachable']} of them can come from a server that holds answers to the configuration's pattern; "
        f"{numbers['false_block']} false blocks"
    )


def counts(found: Verified) -> dict[str, int]:
    """Outputs, each counted once whatever number of engines it passes."""

    def distinct(tried: Iterable[Tried]) -> int:
        return len({(one.rail, one.output) for one in tried})

    return {
        "fail_open": distinct(one for one in found.tried if one.fails_open),
        "unknown": distinct(found.unknown),
        "reachable": distinct(one for one in found.tried if one.fails_open and not one.excluded),
        "false_block": distinct(one for one in found.tried if one.false_block),
    }


def as_json(found: Verified) -> dict[str, Any]:
    """Everything that was tried."""
    return {
        "good": found.good,
        "nemoguardrails": found.version,
        "counts": counts(found),
        "refused": found.refused,
        "faults": list(found.faults),
        "tried": [
            {
                "rail": one.rail.value,
                "output": one.output,
                "engine": one.engine,
                "outcome": one.outcome,
                "may_pass": one.may_pass,
                "gap": None if one.gap is None else one.gap.value,
                "excluded": one.excluded,
            }
            for one in found.tried
        ],
    }
