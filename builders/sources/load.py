"""Load the sources of a recipe: every row becomes a sample, a record or is left out with a reason."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from safety_reasoning.builders.left_out import (
    BadRow,
    LeftOut,
    Reason,
    left_out_row,
    left_out_sample,
    strict_error,
)
from safety_reasoning.builders.recipe import SourceRecipe
from safety_reasoning.builders.records import Record
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.sources import aegis, canttalk, published, wildguard
from safety_reasoning.builders.sources.files import (
    RawRow,
    array_rows,
    line_rows,
    source_folder,
    table_rows,
)
from safety_reasoning.builders.sources.selection import Selection, select
from safety_reasoning.builders.spool import Spool
from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.schemas.columns import JSONL_FILE, Task

_FILES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "aegis": aegis.FILES,
    "canttalkaboutthis": canttalk.FILES,
    "wildguardmix": wildguard.FILES,
    "published": published.FILES,
}
_TASK_OF_FILE = {name: task for task, name in JSONL_FILE.items()}
_NOT_THE_FILES_FAULT = {Reason.REDACTED, Reason.NO_PROMPT_LABEL}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """What was read of one file, for the manifest."""

    source: int
    """The position of its source in the recipe, from 0."""
    name: str
    sha256: str
    rows: int
    ignored_columns: tuple[str, ...]
    """Columns of the file that its reader does not know; they are not in the release."""


@dataclass(slots=True)
class Loaded:
    """What the sources gave."""

    samples: Spool = field(default_factory=Spool)
    records: list[Record] = field(default_factory=list)
    """From published releases, which have their traces."""
    left_out: list[LeftOut] = field(default_factory=list)
    files: list[SourceFile] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    """Files that the split has upstream and the folder lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Converted:
    """What one row gave."""

    items: tuple[Sample | Record, ...] = ()
    unselected: tuple[Sample, ...] = ()
    problems: tuple[BadRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """How one file is read."""

    task: Task
    convert: Callable[[object], _Converted]
    knows: Callable[[str], bool]


def load_sources(sources: tuple[SourceRecipe, ...], *, strict: bool = False) -> Loaded:
    """Every sample of the sources, each interaction once, in the order of the recipe and the files.

    Raises: UsageError if a source or a file is not what it says, or, when `strict`, at the first bad row.
    """
    loaded = Loaded()
    seen: set[str] = set()
    for position, source in enumerate(sources):
        texts = aegis.load_reconstructions(Path(source.suicide_detection) if source.suicide_detection else None)
        for path, name in _files(source, loaded):
            form = _format(source, name, texts)
            _Reading(position, source.kind, path, name, form, loaded, seen, strict).run()
    return loaded


def _files(source: SourceRecipe, loaded: Loaded) -> list[tuple[Path, str]]:
    names = _FILES[source.kind].get(source.split)
    if names is None:
        raise UsageError(
            f"source {source.kind} has no split {source.split!r}",
            fix=f"use one of: {', '.join(_FILES[source.kind])}",
        )
    folder = source_folder(source.path, source.revision, list(names))
    present = [name for name in names if (folder / name).is_file()]
    if not present:
        raise UsageError(
            f"{source.path} holds no file of {source.kind}, split {source.split}",
            why=f"expected {' or '.join(names)}",
            fix="correct `path`, `kind` or `split` in the recipe",
        )
    loaded.absent += [f"{source.kind}/{name}" for name in names if name not in present]
    return [(folder / name, name) for name in present]


def _format(source: SourceRecipe, name: str, texts: Mapping[int, str]) -> _Format:
    """How this file of the source is read; `texts` are the reconstructions of redacted prompts."""
    if source.kind == "aegis":
        return _Format(
            task=Task.CONTENT_SAFETY,
            convert=lambda value: _Converted(items=(aegis.to_sample(value, texts),)),
            knows=aegis.COLUMNS.__contains__,
        )
    if source.kind == "wildguardmix":
        return _Format(
            task=Task.CONTENT_SAFETY,
            convert=lambda value: _Converted(items=(wildguard.to_sample(value),)),
            knows=wildguard.KNOWN_COLUMNS.__contains__,
        )
    if source.kind == "canttalkaboutthis":
        return _Format(
            task=Task.TOPIC_CONTROL,
            convert=partial(_dialogue, source.select),
            knows=canttalk.COLUMNS.__contains__,
        )
    task = _TASK_OF_FILE[name]
    return _Format(
        task=task,
        convert=lambda value: _Converted(items=(published.to_record(value, task),)),
        knows=partial(published.is_known, task=task),
    )


def _dialogue(rule: Selection, value: object) -> _Converted:
    samples, problems = canttalk.to_samples(value)
    taken, others = select(samples, rule)
    return _Converted(items=tuple(taken), unselected=tuple(others), problems=tuple(problems))


@dataclass(slots=True)
class _Reading:
    """One file being read into `loaded`."""

    position: int
    kind: str
    path: Path
    name: str
    format: _Format
    loaded: Loaded
    seen: set[str]
    strict: bool
    rows: int = 0
    usable: int = 0
    ignored: set[str] = field(default_factory=set)
    first_bad: tuple[int, BadRow] | None = None

    def run(self) -> None:
        for raw in _rows(self.path):
            self.rows += 1
            self._row(raw)
        self._refuse_useless()
        self.loaded.files.append(
            SourceFile(
                source=self.position,
                name=self.name,
                sha256=sha256_of(self.path),
                rows=self.rows,
                ignored_columns=tuple(sorted(self.ignored)),
            )
        )

    def _row(self, raw: RawRow) -> None:
        try:
            converted = self._convert(raw)
        except BadRow as bad:
            self.usable += bad.reason in _NOT_THE_FILES_FAULT
            self.first_bad = self.first_bad or (raw.number, bad)
            self._aside(bad, raw)
            return
        self.usable += 1
        for problem in converted.problems:
            self._aside(problem, raw)
        for sample in converted.unselected:
            self._sample_aside(Reason.NOT_SELECTED, "the recipe's selection rule", raw.number, sample)
        for item in converted.items:
            self._take(item, raw.number)

    def _convert(self, raw: RawRow) -> _Converted:
        if raw.bad is not None:
            raise raw.bad
        if isinstance(raw.value, dict):
            self.ignored.update(column for column in raw.value if not self.format.knows(column))
        return self.format.convert(raw.value)

    def _take(self, item: Sample | Record, number: int) -> None:
        sample = item.sample if isinstance(item, Record) else item
        if not self._is_new(item):
            self._sample_aside(Reason.DUPLICATE, "the same interaction occurs earlier", number, sample)

    def _is_new(self, item: Sample | Record) -> bool:
        """Whether the item was taken; a recipe has samples or records, never both."""
        if not isinstance(item, Record):
            return self.loaded.samples.add(item)
        if item.key in self.seen:
            return False
        self.seen.add(item.key)
        self.loaded.records.append(item)
        return True

    def _aside(self, bad: BadRow, raw: RawRow) -> None:
        if self.strict:
            raise strict_error(bad, file=str(self.path), row=raw.number)
        self.loaded.left_out.append(
            left_out_row(self.format.task, bad, source=self.kind, file=self.name, row=raw.number, raw=raw.value)
        )

    def _sample_aside(self, reason: Reason, detail: str, number: int, sample: Sample) -> None:
        self.loaded.left_out.append(
            left_out_sample(sample, reason, detail, source=self.kind, file=self.name, row=number)
        )

    def _refuse_useless(self) -> None:
        if self.usable:
            return
        if self.first_bad is None:
            raise UsageError(f"{self.path} holds no rows", fix="fetch the file again")
        number, bad = self.first_bad
        raise UsageError(
            f"{self.path}, row {number}: not a file of {self.kind}",
            why=f"no row of the file can be used; the first one: {bad}",
            fix="correct the source's `kind` and `path`, or mend the file",
        )


def _rows(path: Path) -> Iterator[RawRow]:
    read = {".json": array_rows, ".jsonl": line_rows}.get(path.suffix, table_rows)
    return read(path)
