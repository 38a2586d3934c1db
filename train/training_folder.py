"""The folder of a run: what it trains, its checkpoints, its guard. A run goes on only with what it began with.

run.json           the recipe, the mixture's hash and the model's commit; written before anything is trained
lengths.json       rows and tokens, and how many rows are too long
left_out/          which rows are too long
checkpoints/       of the trainer
metrics.jsonl      a line a logged step
plots/             loss and lengths
guard/             the trained model, ready to be served and pushed

Beside it, under its name and `.lock`: the file that a process holds which is at work in it.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from safety_reasoning.errors import UsageError
from safety_reasoning.train.sft_recipe import SftRecipe

Run = Mapping[str, Any]
"""JSON values; the content of run.json."""
COMPLETE = "complete.json"
"""Written into a checkpoint when all of it is there: one without it was cut off."""
_OF_NO_CONSEQUENCE = (
    *("out", "mixture", "device_batch_size", "gradient_checkpointing", "liger"),
    *("save_every", "keep_checkpoints", "log_every", "report_to", "saved_weights"),
)
"""Fields of [sft] that decide neither the rows of a batch nor what is learnt from them; a run may go on with others."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Of the trainer."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """A line a logged step."""
        return self.path / "metrics.jsonl"

    @property
    def guard(self) -> Path:
        """The trained model."""
        return self.path / "guard"

    def check(self, run: Run) -> None:
        """Raise UsageError if the folder holds another run of which anything is trained, or something else."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is not a folder", fix="name another one")
        noted = self._noted()
        if noted is None and self.path.is_dir() and any(self.path.iterdir()):
            raise UsageError(f"{self.path} is not empty and holds no run", fix="name another folder, or empty this one")
        differing = differences(noted, run) if noted is not None else []
        if differing and (self.last_checkpoint() is not None or self.guard.is_dir()):
            raise UsageError(
                f"{self.path} holds another run",
                why="\n".join(f"  {name}: it has {there}, the recipe {wanted}" for name, there, wanted in differing),
                fix="give this recipe another `out` (or --out), or remove that folder",
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the folder, which would write into the same files; a kill lets go of it.

        Raises: UsageError if one is in it, or nothing can be written there.
        """
        lock = FileLock(f"{self.path}.lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(
                f"another run is at work in {self.path}",
                why="a process that trains holds its lock; a launcher that is killed may leave such processes behind",
                fix="wait for it or end it, or give this recipe another `out` (or --out)",
            ) from error
        except OSError as error:
            raise UsageError(
                f"nothing can be written to {self.path}",
                why=f"{type(error).__name__}: {error.strerror}",
                fix="name another `out` (or --out)",
            ) from error
        except NotImplementedError:
            pass  # a file system without locks, as some clusters have
        try:
            yield
        finally:
            lock.release()

    def begin(self, run: Run) -> None:
        """Note what is trained, and remove checkpoints that were cut off; the folder is `held`."""
        write_json(self.path / "run.json", run)
        for folder in self.checkpoints.glob("checkpoint-*"):
            if not (folder / COMPLETE).is_file():
                shutil.rmtree(folder)

    def last_checkpoint(self) -> Path | None:
        """The last one that is whole; None if there is none."""
        whole = [folder for folder in self.checkpoints.glob("checkpoint-*") if (folder / COMPLETE).is_file()]
        return max(whole, key=_step, default=None)

    def _noted(self) -> Run | None:
        path = self.path / "run.json"
        if not path.is_file():
            return None
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read", why=str(error), fix="remove the run's folder") from error
        return noted if isinstance(noted, dict) else {}


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def describe(recipe: SftRecipe, *, commit: str | None, base: str, template: str, mixture_hash: str) -> Run:
    """What run.json says of a run: all that decides what is learnt.

    `base` names the model as read, `template` is the guard's chat template, as a hash.
    """
    return {
        "base": base,
        "commit": commit,
        "chat_template": template,
        "mixture": mixture_hash,
        "sft": recipe.model_dump(mode="json", exclude=set(_OF_NO_CONSEQUENCE)),
    }


def differences(there: Run, wanted: Run) -> list[tuple[str, str, str]]:
    """(field, value there, value wanted) of every field in which two runs differ."""
    old, new = dict(_flat(there)), dict(_flat(wanted))
    return [
        (name, json.dumps(old.get(name)), json.dumps(new.get(name)))
        for name in sorted(old | new)
        if old.get(name) != new.get(name)
    ]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object so that a reader finds the old file or the new one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(path)
