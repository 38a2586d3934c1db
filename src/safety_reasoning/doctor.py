"""What is installed, which engines work here, and what a recipe lacks."""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from safety_reasoning.errors import UsageError

_ENGINES = ("vllm", "ray", "transformers")
_PACKAGES = ("datasets", "huggingface-hub", "aiohttp", "polars", "pyarrow", "jsonschema")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str
    needed: bool = True
    """False for an option that this recipe, or nothing, asks for."""

    def __str__(self) -> str:
        mark = "ok  " if self.ok else ("LACKS" if self.needed else "no  ")
        return f"{mark:5} {self.what}: {self.detail}"

    def as_json(self) -> dict[str, object]:
        """For --json."""
        return asdict(self)


def examine(recipe_path: Path | None) -> list[Finding]:
    """Every finding, the recipe's last."""
    findings = [_python(), *(_package(name) for name in _PACKAGES)]
    findings += [_embedded(needed=False), *(_engine(name, needed=False) for name in _ENGINES), _hub()]
    if recipe_path is not None:
        findings += _recipe(recipe_path)
    return findings


def _python() -> Finding:
    return Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed: pip install safety-reasoning")


def _embedded(*, needed: bool) -> Finding:
    from safety_reasoning.builders.teachers.embedded import model_path

    try:
        return Finding("engine embedded", True, f"{model_path().name} is there", needed)
    except UsageError as error:
        return Finding("engine embedded", False, f"{error.what}: {error.fix}", needed)


def _engine(name: str, *, needed: bool) -> Finding:
    extra = "train" if name == "transformers" else name
    try:
        return Finding(f"engine {name}", True, f"{name} {version(name)}", needed)
    except PackageNotFoundError:
        fix = f"not installed: pip install 'safety-reasoning[{extra}]'"
        return Finding(f"engine {name}", False, fix, needed)


def _hub() -> Finding:
    from huggingface_hub import get_token

    found = get_token() is not None
    return Finding("hub login", found, "a token is there" if found else "none: only public data sets", needed=False)


def _recipe(path: Path) -> Iterator[Finding]:
    from safety_reasoning.builders.recipe import load_recipe

    try:
        recipe = load_recipe(path)
    except UsageError as error:
        yield Finding(f"recipe {path}", False, " ".join(str(error).split()))
        return
    yield Finding(f"recipe {path}", True, "can be read")
    for source in recipe.sources:
        if source.path.startswith("hf://"):
            pinned = source.revision is not None
            detail = f"at {source.revision}" if pinned else "names no revision"
            yield Finding(f"source {source.path}", pinned, detail)
        else:
            there = Path(source.path).is_dir()
            yield Finding(f"source {source.path}", there, "is there" if there else "no such folder")
    for teacher in recipe.teachers:
        if teacher.engine == "embedded":
            yield _embedded(needed=True)
        elif teacher.engine in {"vllm", "ray", "transformers"}:
            yield _engine(teacher.engine, needed=True)
        if teacher.api_key_env is not None:
            there = bool(os.environ.get(teacher.api_key_env))
            detail = "is set" if there else "is not set"
            yield Finding(f"teacher {teacher.name}: {teacher.api_key_env}", there, detail)
        for url in teacher.base_urls:
            yield _server(teacher.name, url)


def _server(teacher: str, url: str) -> Finding:
    """Whether something answers at the address; what it answers is the run's affair."""
    import httpx2

    try:
        status = httpx2.get(f"{url.rstrip('/')}/models", timeout=5.0).status_code
    except httpx2.HTTPError as error:
        return Finding(f"teacher {teacher}: {url}", False, f"does not answer ({type(error).__name__})")
    return Finding(f"teacher {teacher}: {url}", True, f"answers (HTTP {status})")
