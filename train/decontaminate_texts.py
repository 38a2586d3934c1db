"""The texts of the benchmarks that a TOML file names, from local files or the Hub.

[[benchmarks]]
name = "simple_safety_tests"
path = "hf://datasets/Bertievidgen/SimpleSafetyTests"
revision = "main"
split = "test"
columns = ["prompt"]
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from safety_reasoning.builders.sources.files import RawRow, array_rows, line_rows, table_rows
from safety_reasoning.errors import UsageError
from safety_reasoning.files import fetch_snapshot
from safety_reasoning.train.decontaminate import HeldOutText

_HUB = "hf://datasets/"
_READERS = {".json": array_rows, ".jsonl": line_rows, ".csv": table_rows, ".parquet": table_rows}


class BenchmarkRecipe(BaseModel):
    """Where the texts of one benchmark are."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$", max_length=64)]
    """How matches and counts name it."""
    path: str
    """A JSON, JSON Lines, CSV or Parquet file, or `hf://datasets/OWNER/NAME`."""
    columns: tuple[str, ...] = Field(min_length=1)
    """The columns that hold texts; null is no text."""
    revision: str | None = None
    """A Hub data set's commit, tag or branch; required there."""
    file: str | None = None
    """One file of a Hub data set, which is then read as it is; for those that `load_dataset` cannot load."""
    config: str | None = None
    """A Hub data set's configuration, as `load_dataset` names it."""
    split: str | None = None
    """A Hub data set's split; required there, unless `file` is given."""

    @property
    def on_hub(self) -> bool:
        """Whether it is fetched."""
        return self.path.startswith(_HUB)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.on_hub and not self.revision:
            raise ValueError("a Hub data set needs `revision`: a mixture must be made again from the same texts")
        if self.on_hub and (self.file is None) == (self.split is None):
            raise ValueError("a Hub data set needs either `split` or `file`")
        if not self.on_hub and (self.revision or self.file or self.config or self.split):
            raise ValueError("`revision`, `file`, `config` and `split` are for Hub data sets")
        return self


class BenchmarksRecipe(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    benchmarks: tuple[BenchmarkRecipe, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _different(self) -> Self:
        names = [benchmark.name for benchmark in self.benchmarks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two benchmarks are named {twice[0]!r}: their counts would be one")
        return self


def load_benchmarks(path: Path) -> tuple[BenchmarkRecipe, ...]:
    """The benchmarks that a file names, local paths made absolute.

    Raises: UsageError naming the file, the field and what is wrong.
    """
    try:
        parsed = BenchmarksRecipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the list of benchmarks {path} cannot be read", why=str(error)) from error
    except pydantic.ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise UsageError(f"the list of benchmarks {path} cannot be used", why="\n     ".join(faults)) from error
    folder = path.parent
    return tuple(
        one if one.on_hub else one.model_copy(update={"path": str((folder / one.path).resolve())})
        for one in parsed.benchmarks
    )


def texts_of(benchmark: BenchmarkRecipe) -> Iterator[HeldOutText]:
    """Every text of the benchmark.

    Raises: UsageError if it cannot be read, lacks a column, or a column holds something else than texts.
    """
    for number, row in _rows(benchmark):
        for column in benchmark.columns:
            if column not in row:
                raise UsageError(
                    f"benchmark {benchmark.name} has no column {column!r}",
                    why=f"row {number} has {', '.join(sorted(map(str, row)))}",
                    fix="correct its `columns`",
                )
            text = row[column]
            if text is not None and not isinstance(text, str):
                raise UsageError(
                    f"benchmark {benchmark.name}, row {number}, column {column!r} holds no text",
                    why=f"it is {type(text).__name__}",
                    fix="correct its `columns`",
                )
            if text:
                yield HeldOutText(benchmark.name, number, text)


def _rows(benchmark: BenchmarkRecipe) -> Iterator[tuple[int, dict[str, Any]]]:
    if benchmark.on_hub and benchmark.file is None:
        yield from enumerate(_hub_rows(benchmark), start=1)
        return
    path = _file(benchmark)
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise UsageError(
            f"benchmark {benchmark.name}: {path} is none of {', '.join(_READERS)}", fix="name a file of such a kind"
        )
    for raw in reader(path):
        yield raw.number, _object(benchmark, raw)


def _file(benchmark: BenchmarkRecipe) -> Path:
    path = Path(benchmark.path)
    if benchmark.on_hub and benchmark.file and benchmark.revision:
        repo = benchmark.path.removeprefix(_HUB)
        path = fetch_snapshot(repo, benchmark.revision, [benchmark.file]) / benchmark.file
    if not path.is_file():
        raise UsageError(
            f"benchmark {benchmark.name}: {benchmark.file or path} is not there", fix="correct its `path` or `file`"
        )
    return path


def _object(benchmark: BenchmarkRecipe, raw: RawRow) -> dict[str, Any]:
    if raw.bad is not None or not isinstance(raw.value, dict):
        raise UsageError(
            f"benchmark {benchmark.name}, row {raw.number} is no object",
            why="a benchmark that is read in part would let its other rows pass",
            fix="mend the file",
        )
    return raw.value


def _hub_rows(benchmark: BenchmarkRecipe) -> Iterator[dict[str, Any]]:
    import datasets
    from datasets.exceptions import DatasetsError
    from httpx2 import HTTPError

    datasets.disable_progress_bars()
    repo = benchmark.path.removeprefix(_HUB)
    try:
        loaded: Any = datasets.load_dataset(repo, benchmark.config, split=benchmark.split, revision=benchmark.revision)
    except (OSError, ValueError, RuntimeError, HTTPError, DatasetsError) as error:
        raise UsageError(
            f"benchmark {benchmark.name}: load_dataset does not give {repo}",
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}",
            fix="check `config`, `split` and `revision`; a gated one needs `hf auth login`; else name one `file` of it",
        ) from error
    yield from loaded
