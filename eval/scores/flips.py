"""The rows on which two runs give different verdicts, with both traces."""

from pathlib import Path

import polars as pl

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.scores.pairs import pairs_of

_SAID = ["predicted", "parse", "reasoning", "answer", "probability"]
_ABOUT = ["task", "item", "generation", "subject", "positive", "category", "domain"]
_KEYS = ["task", "item", "generation", "copy"]
BETTER, WORSE, NEITHER = "b_right", "a_right", "neither"


def flipped(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """The rows in both whose verdict differs, one of them unreadable among these, sorted by task, item and generation.

    Columns: what the row is about, `flip` (which run is right), and of each run, under `a_` and `b_`, its verdict, why
    there is none, its trace and its answer. With more than one generation, those of one number have nothing in common
    but the item.
    """
    found = [_of_task(pairs.a, pairs.b) for pairs in pairs_of(a, b)]
    return pl.concat(found).sort("task", "item", "generation", maintain_order=True) if found else pl.DataFrame()


def _of_task(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    first = a.select(*_ABOUT, "copy", *(pl.col(name).alias(f"a_{name}") for name in _SAID))
    second = b.select(*_KEYS, *(pl.col(name).alias(f"b_{name}") for name in _SAID))
    both = first.join(second, on=_KEYS, how="inner", maintain_order="left")
    flip = (
        pl.when(pl.col("b_predicted").eq_missing(pl.col("positive")))
        .then(pl.lit(BETTER))
        .when(pl.col("a_predicted").eq_missing(pl.col("positive")))
        .then(pl.lit(WORSE))
        .otherwise(pl.lit(NEITHER))
    )
    differs = pl.col("a_predicted").ne_missing(pl.col("b_predicted"))
    return both.filter(differs).with_columns(flip.alias("flip")).drop("copy")


def write_flips(path: Path, rows: pl.DataFrame) -> None:
    """The rows as a file: Parquet or JSON Lines, by the name's end.

    Raises: UsageError if it is neither or cannot be written.
    """
    if path.suffix not in (".parquet", ".jsonl"):
        raise UsageError(f"{path} is neither .parquet nor .jsonl", fix="name the file for the flipped rows so")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            rows.write_parquet(path)
        else:
            rows.write_ndjson(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written", why=error.strerror or type(error).__name__) from error
