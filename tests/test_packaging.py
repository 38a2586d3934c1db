"""What the wheel holds, and that nobody imports a folder past its name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDERS = ("builders", "cards", "deploy", "eval", "filters", "hub", "pages", "review", "schemas", "train")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TRAIN = ("accelerate", "gguf", "peft", "safetensors", "torch", "transformers", "trl")
INHERITS_FROM_EXTRAS = {
    f"safety_reasoning.train.{name}" for name in ("grpo_trainer", "sft_trainer", "training_callbacks")
}
"""Modules whose classes have a base class of an extra; the others import them inside functions alone."""
PACKAGES: list[str] = PROJECT["tool"]["setuptools"]["packages"]


def test_every_folder_with_modules_is_a_listed_package() -> None:
    found = {"safety_reasoning"}
    for folder in FOLDERS:
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add("safety_reasoning." + ".".join(init.parent.relative_to(ROOT).parts))
    assert found == set(PACKAGES)


def test_every_data_file_beside_the_modules_is_package_data() -> None:
    data: dict[str, list[str]] = PROJECT["tool"]["setuptools"]["package-data"]
    packaged = {
        path for package, patterns in data.items() for pattern in patterns for path in _folder(package).glob(pattern)
    }
    there = {
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert there <= packaged, there - packaged


def _folder(package: str) -> Path:
    parts = package.split(".")
    return ROOT.joinpath("src", "safety_reasoning") if len(parts) == 1 else ROOT.joinpath(*parts[1:])


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_links_for_type_checkers_point_at_the_folders(folder: str) -> None:
    assert (ROOT / "src" / "safety_reasoning" / folder).resolve() == ROOT / folder


def test_the_base_install_needs_no_extra() -> None:
    """Every module of the package imports without the packages of the extras, but for those that inherit from them."""
    modules = {
        "safety_reasoning." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    modules -= INHERITS_FROM_EXTRAS
    extras = ("xllamacpp", "vllm", "ray", "openai", "matplotlib", "scipy", "sklearn", "krippendorff", *TRAIN)
    block = f"import sys, importlib\nfor name in {extras!r}: sys.modules[name] = None\n"
    code = block + f"for name in {sorted(modules)!r}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
