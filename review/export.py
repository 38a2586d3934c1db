"""Export: the marks of a store as Parquet, one row a reviewer and trace, sorted by reviewer and key.

A row holds the mark, what the filters and the judge say of the trace now, and the stratum that it was drawn from, so
that every number of `review-agreement` can be computed from it. Texts are not in it: `key` names the reply.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.errors import UsageError
from safety_reasoning.review.agreement_marks import Marked
from safety_reasoning.review.marks import Mark

SCHEMA = pa.schema(
    [
        ("reviewer", pa.string()),
        ("key", pa.string()),
        ("sample_key", pa.string()),
        ("teacher", pa.string()),
        ("step", pa.string()),
        ("attempt", pa.int32()),
        ("modes", pa.list_(pa.string())),
        ("note", pa.string()),
        ("marked_at", pa.timestamp("us", tz="UTC")),
        ("findings", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("judge_modes", pa.list_(pa.string())),
        ("judge_fault", pa.string()),
        ("stratum_reason", pa.string()),
        ("stratum_verdict", pa.string()),
        ("stratum_size", pa.int64()),
        ("stratum_drawn", pa.int64()),
    ]
)
"""`modes`: [] for a clean trace. `findings`: what the reviewer knew of them (marks.Findings). `reasons`: the filters',
null with `attempt` where the recipe does not come to the trace any more. `judge_modes`: null where the judge was not
asked or could not judge; `judge_fault` says why it could not."""


def write_marks(path: Path, traces: Sequence[Marked]) -> int:
    """Write the marks that count; how many there are. The file appears whole or not at all.

    Raises: UsageError if it cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} cannot be written", why="it is a folder", fix="give the name of a file")
    marks = sorted(
        ((mark, trace) for trace in traces for mark in trace.marks), key=lambda row: (row[0].reviewer, row[0].key)
    )
    table = pa.Table.from_pylist([_row(mark, trace) for mark, trace in marks], schema=SCHEMA)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, aside, compression="zstd")
        aside.rename(path)
    except OSError as error:
        fix = "make room or mend the permissions"
        raise UsageError(f"{path} cannot be written", why=str(error), fix=fix) from error
    finally:
        with suppress(OSError):  # its folder is none
            aside.unlink(missing_ok=True)
    return len(marks)


def _row(mark: Mark, trace: Marked) -> dict[str, Any]:
    sifted = None if trace.attempt is None else trace.attempt.sifted
    opinion = None if sifted is None else sifted.opinion
    return {
        "reviewer": mark.reviewer,
        "key": mark.key,
        "sample_key": mark.sample_key,
        "teacher": mark.stratum.teacher,
        "step": mark.stratum.step,
        "attempt": None if sifted is None else sifted.reply.attempt,
        "modes": list(mark.modes or ()),
        "note": mark.note,
        "marked_at": round(mark.marked_at * 1e6),
        "findings": str(mark.findings),
        "reasons": None if sifted is None else [str(reason) for reason in sifted.drops],
        "judge_modes": None if opinion is None or opinion.found is None else sorted(opinion.found),
        "judge_fault": None if opinion is None or not opinion.fault else str(opinion.fault),
        "stratum_reason": mark.stratum.reason,
        "stratum_verdict": mark.stratum.verdict,
        "stratum_size": mark.size,
        "stratum_drawn": mark.drawn,
    }
