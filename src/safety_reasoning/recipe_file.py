"""The file of a recipe: TOML that a pydantic model checks, and what is said of one that it refuses."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from safety_reasoning.errors import UsageError

_Model = TypeVar("_Model", bound=pydantic.BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises: UsageError naming the file and what is wrong with it.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        fix = "name a file of UTF-8 that is there"
        raise UsageError(f"recipe {path} cannot be read", why=str(error), fix=fix) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"recipe {path} is not TOML", why=str(error), fix="mend that line") from error


def checked(model: type[_Model], values: object, path: Path, *, table: str = "") -> _Model:
    """The values of a recipe, or of one of its tables, as the model reads them.

    Raises: UsageError naming the file, every field that is wrong, and what is wrong with it.
    """
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        faults = "\n".join(_fault(item, table) for item in error.errors(include_url=False, include_input=False))
        raise UsageError(f"recipe {path} cannot be used\n{faults}", fix="correct the fields named above") from error


def _fault(item: Any, table: str) -> str:
    field = ".".join(str(part) for part in (table, *item["loc"]) if part != "") or "recipe"
    message = item["msg"].removeprefix("Value error, ")
    return f"  {field}: {'unknown key' if item['type'] == 'extra_forbidden' else message}"
