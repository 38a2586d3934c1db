"""How long `eval score` takes on a large run, beside scikit-learn asked once for every draw.

    python benchmarks/score.py            # 200,000 rows of 18 tasks, 1,000 draws
    python benchmarks/score.py --quick    # 20,000 rows

The rows are made up: 18 tasks, four generations, a trace of about 600 characters in each row, a probability in all but
the unreadable ones. The time is that of the whole command, from start to the last line of its JSON. The peer computes
the same six numbers of each draw (F1, precision, recall, accuracy, AUROC and average precision) with scikit-learn's
functions, one call a draw, on a part of one task; the claim is the ratio of the times that one draw of that part
takes. The last line of stdout is one JSON document.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from engine.measure import Report, run
from sklearn import metrics  # type: ignore[import-untyped]  # it ships no types

from safety_reasoning.eval.runs.folder import write_run
from safety_reasoning.eval.runs.rows import SCHEMA
from safety_reasoning.eval.scores.averages import AVERAGES, tasks_of
from safety_reasoning.eval.scores.policy import Policy
from safety_reasoning.eval.scores.score import score_task

_COMMAND = (sys.executable, "-m", "safety_reasoning.cli", "eval", "score")
_TASKS = sorted({task for name in AVERAGES for task in tasks_of(name)})[:18]
_GENERATIONS = 4
_GOAL_S = 30.0
_PEER_GOAL = 20.0
_PEER_DRAWS = 20
_DRAWS = 1000


def main() -> None:
    """The command, then the peer, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 rows")
    rows = 20_000 if parser.parse_args().quick else 200_000
    report = Report()
    made = made_up(rows)
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_run(Path(scratch, "run"), {"tasks": [{"name": task} for task in _TASKS]}, made).path
        done = run([*_COMMAND, str(folder), "--draws", str(_DRAWS), "--json"])
    scored = done.document()["tasks"]
    if sum(task["wrong"]["rows"] for task in scored.values()) != len(made):
        raise RuntimeError("rows are missing from the scores")
    report.line(f"{len(made)} rows, {len(scored)} tasks, {_DRAWS} draws of each")
    report.claim("score: wall time of the command", done.wall_s, "s", _GOAL_S, "less")
    report.measure("score: processor time, s", done.cpu_s)
    report.measure("score: peak memory, MB", done.peak_mb)
    ours, theirs = draw_s(made), peer_draw_s(made)
    report.line(f"  a draw of one task: ours {1000 * ours:.2f} ms, scikit-learn's loop {1000 * theirs:.2f} ms")
    report.claim("score: scikit-learn's loop / ours, time of a draw", theirs / ours, "ratio", _PEER_GOAL, "more")
    report.end()


def made_up(rows: int) -> pl.DataFrame:
    """Rows of all tasks, about as many of each."""
    chance = np.random.default_rng(0)
    items = -(-rows // (len(_TASKS) * _GENERATIONS))
    words = np.array(["harm", "policy", "user", "asks", "request", "category", "the", "of", "response", "because"])
    return pl.concat([_task(task, items, chance, words) for task in _TASKS]).head(rows)


def _task(task: str, items: int, chance: np.random.Generator, words: npt.NDArray[np.str_]) -> pl.DataFrame:
    count = items * _GENERATIONS
    gold = np.repeat(chance.random(items) < 0.4, _GENERATIONS)
    said = np.where(chance.random(count) < 0.85, gold, ~gold)
    read = chance.random(count) > 0.02
    probability = np.clip(np.where(said, 0.75, 0.25) + chance.normal(0, 0.15, count), 0, 1)
    traces = [" ".join(chance.choice(words, 100)) for _ in range(1000)]
    known = {
        "task": [task] * count,
        "item": np.repeat([f"{item:032x}" for item in range(items)], _GENERATIONS),
        "generation": np.tile(np.arange(_GENERATIONS), items),
        "positive": gold,
        "chars": np.repeat(chance.integers(20, 2000, items), _GENERATIONS),
        "reasoning": [traces[number % len(traces)] for number in range(count)],
        "answer": ["Prompt harm: harmful"] * count,
        "parse": np.where(read, "ok", "no_verdict"),
        "predicted": pl.Series(said).set(~pl.Series(read), None),
        "probability": pl.Series(probability).set(~pl.Series(read), None),
        "trace_tokens": chance.integers(10, 300, count),
        "latency_s": chance.random(count),
    }
    frame = pl.DataFrame(known)
    return frame.select(
        (pl.col(name) if name in known else pl.lit(None)).cast(kind).alias(name) for name, kind in SCHEMA.items()
    )


def draw_s(rows: pl.DataFrame) -> float:
    """Processor seconds of one of our draws of one task, all measures under one policy."""
    part = _part(rows)
    without, whole = (
        _cpu_s(lambda draws=draws: score_task(part, policy=Policy.WRONG, draws=draws)) for draws in (0, _DRAWS)
    )
    return (whole - without) / _DRAWS


def peer_draw_s(rows: pl.DataFrame) -> float:
    """Processor seconds of one draw of the same with scikit-learn, generation by generation."""
    part = _part(rows).filter(pl.col("predicted").is_not_null())
    generations = [part.filter(pl.col("generation") == number) for number in range(_GENERATIONS)]
    arrays = [tuple(one[name].to_numpy() for name in ("positive", "predicted", "probability")) for one in generations]
    chance = np.random.default_rng(0)

    def draws() -> None:
        for _ in range(_PEER_DRAWS):
            for gold, said, probability in arrays:
                drawn = chance.integers(0, len(gold), len(gold))
                metrics.precision_recall_fscore_support(gold[drawn], said[drawn], average="binary")
                metrics.accuracy_score(gold[drawn], said[drawn])
                metrics.roc_auc_score(gold[drawn], probability[drawn])
                metrics.average_precision_score(gold[drawn], probability[drawn])

    return _cpu_s(draws) / _PEER_DRAWS


def _part(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("task") == _TASKS[0])


def _cpu_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
