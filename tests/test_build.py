"""A whole build by the command against a scripted teacher."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import (
    LiveTeacher,
    Run,
    aegis_row,
    dialogue,
    openai_teacher,
    write_aegis,
    write_dialogues,
    write_recipe,
)


def test_build_makes_both_configs(tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]) -> None:
    aegis = write_aegis(tmp_path / "aegis", [aegis_row(), aegis_row(response="", response_label="safe")])
    topics = write_dialogues(tmp_path / "topics", [dialogue()])
    recipe = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": aegis}, {"kind": "canttalkaboutthis", "path": topics}],
        teachers=[openai_teacher("a", teacher().url)],
    )
    done = run("build", recipe, "--json")
    assert done.returncode == 0, done.stderr
    manifest: dict[str, Any] = json.loads(done.stdout)["manifest"]
    assert {name: c["records"] for name, c in manifest["configs"].items()} == {"content_safety": 2, "topic_control": 3}
