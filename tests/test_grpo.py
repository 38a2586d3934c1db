"""GRPO of a tiny guard that is torn between two answers: it learns the one that is worth more."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from safety_reasoning.builders.calls import Reply
from safety_reasoning.cli import app
from safety_reasoning.errors import Stopped, UsageError
from tests.mining import TOPICS, reply, topic_row, whole_mixture, write_mined, write_torn_guard
from tests.tiny_model import mixture_row
from tests.trainings import Watching, curve, tensors, write_training

pytest.importorskip("trl")

from safety_reasoning.train.grpo import asked, train_grpo
from safety_reasoning.train.mine_read import read_mined
from safety_reasoning.train.preference_recipe import GrpoRecipe, load_tune_recipe
from safety_reasoning.train.training import Trained
from safety_reasoning.train.training_quiet import quiet

quiet()
ROWS = 16
SAME = "Which?"


def half_right(row: dict[str, Any]) -> Sequence[Reply]:
    """Every fourth row is easy."""
    right = TOPICS if int(row["key"], 16) % 4 else (row["topic"], row["topic"])
    return [reply(text) for text in (*right, *right)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Guards that are torn, and rows: all off-topic, of one text with either label, and told to the template."""
    folder = tmp_path_factory.mktemp("grpo")
    rows = [topic_row(number, "off-topic") for number in range(ROWS)]
    guard = write_torn_guard(folder / "guard", rows)
    either = [topic_row(number, TOPICS[number % 2], SAME) for number in range(ROWS)]
    write_torn_guard(folder / "even", either[:1])
    told = [row | {"chat_template_kwargs": {"enable_thinking": False}} for row in rows]
    whole_mixture(folder / "off", rows)
    whole_mixture(folder / "either", either)
    whole_mixture(folder / "told", told, {"place": "template", "on": "", "off": ""})
    write_mined(folder / "mined_off", folder / "off", guard, half_right)
    write_mined(folder / "mined_told", folder / "told", guard, half_right)
    write_mined(folder / "mined_either", folder / "either", guard, lambda row: [reply(text) for text in TOPICS * 2])
    write_mined(folder / "easy", folder / "off", guard, lambda row: [reply("off-topic")] * 4)
    return folder


def _recipe(place: Path, out: str, *, base: str = "guard", mined: str = "mined_off", **grpo: Any) -> Path:
    settings: dict[str, Any] = {
        "batch_size": 32,
        "device_batch_size": 32,
        "rollouts": 8,
        "learning_rate": 2e-3,
        "max_tokens": 256,
        "reply_tokens": 16,
        "gradient_checkpointing": False,
        "saved_weights": "float32",
    }
    return write_training(place, "grpo", base=base, settings={"out": out, "mined": mined} | settings | grpo)


def _train(place: Path, out: str, progress: Watching | None = None, **options: Any) -> Trained:
    return train_grpo(*load_tune_recipe(_recipe(place, out, **options), GrpoRecipe), progress or Watching())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def test_the_reward_rises_and_fewer_harms_are_missed(place: Path) -> None:
    trained = _train(place, "plain", samples="all", epochs=3)
    reward, missed = curve(trained.folder, "reward"), curve(trained.folder, "missed_harm")
    assert len(reward) == 12 and curve(trained.folder, "tokens")[-1] > 12 * 32
    assert _mean(reward[-4:]) > _mean(reward[:2]) + 0.5
    assert _mean(missed[:2]) > 0.2 > 0.1 > _mean(missed[-4:])
    training = json.loads((trained.guard / "training.json").read_text())
    assert training["method"] == "grpo" and training["recipe"]["missed_harm"] == -2.0
    assert training["base"]["guard"]["name"] == "Tiny guard"
    assert str(place) not in json.dumps(training)


def test_where_a_label_cannot_be_known_the_guard_learns_the_cheaper_mistake(place: Path) -> None:
    options: dict[str, Any] = {"base": "even", "mined": "mined_either", "epochs": 3, "kl": 0.0, "format_weight": 0.0}
    wary = _train(place, "wary", missed_harm=-3.0, false_alarm=-0.5, **options)
    careless = _train(place, "careless", missed_harm=-0.5, false_alarm=-3.0, **options)
    assert _mean(curve(wary.folder, "missed_harm")[-4:]) < 0.15 < 0.3 < _mean(curve(wary.folder, "false_alarm")[-4:])
    assert (
        _mean(curve(careless.folder, "false_alarm")[-4:])
        < 0.15
        < 0.3
        < _mean(curve(careless.folder, "missed_harm")[-4:])
    )


def test_the_difficult_rows_alone_are_asked_unless_all_are_wanted(place: Path) -> None:
    mined = read_mined(place / "mined_off")
    _, difficult = load_tune_recipe(_recipe(place, "which"), GrpoRecipe)
    _, every = load_tune_recipe(_recipe(place, "which", samples="all"), GrpoRecipe)
    assert [int(row["key"], 16) for row in asked(difficult, mined)] == [n for n in range(ROWS) if n % 4]
    assert len(asked(every, mined)) == ROWS


def test_trl_is_told_what_the_recipe_says(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safety_reasoning.train import grpo_trainer

    seen: list[Any] = []

    class Noting(grpo_trainer.GoingOn):
        def train(self, *arguments: Any, **options: Any) -> Any:
            seen.append(self)
            return super().train(*arguments, **options)

    monkeypatch.setattr(grpo_trainer, "GoingOn", Noting)
    settings: dict[str, Any] = {
        "temperature": 0.8,
        "kl": 0.03,
        "rollouts": 4,
        "batch_size": 8,
        "device_batch_size": 2,
        "top_p": 0.9,
    }
    _train(place, "told_trl", max_steps=1, learning_rate=1e-5, **settings)
    args = seen[0].args
    assert (args.temperature, args.beta, args.num_generations, args.top_p) == (0.8, 0.03, 4, 0.9)
    assert (args.gradient_accumulation_steps, args.generation_batch_size, args.learning_rate) == (4, 8, 1e-5)
    assert (args.max_completion_length, args.scale_rewards, seen[0].ref_model is not None) == (16, "batch", True)


def test_a_stopped_run_goes_on_with_the_rewards_it_would_have_had(place: Path) -> None:
    options: dict[str, Any] = {"epochs": 2, "save_every": 2, "samples": "all", "device_batch_size": 8}
    whole = _train(place, "whole", **options)

    class Interrupting(Watching):
        def step(self, done: int, of: int, note: str) -> None:
            if done == 6:  # in the midst of the second pass over the rows
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Stopped, match="stopped at step 6 of 8; run the same command again"):
        _train(place, "stopped", Interrupting(), **options)
    assert not (place / "stopped" / "guard").exists()
    watching = Watching()
    resumed = _train(place, "stopped", watching, **options)
    assert "going on from checkpoint-6" in watching.stages
    assert curve(resumed.folder, "reward") == curve(whole.folder, "reward")
    one, other = tensors(whole.guard), tensors(resumed.guard)
    assert all(one[name].equal(other[name]) for name in one)


def test_adapters_learn_too(place: Path) -> None:
    trained = _train(place, "lora", lora={"rank": 8}, samples="all", epochs=2, learning_rate=1e-2)
    assert _mean(curve(trained.folder, "right")[-4:]) > _mean(curve(trained.folder, "right")[:2])
    assert tensors(trained.guard).keys() == tensors(place / "guard").keys()


def test_the_command_prints_one_document(place: Path) -> None:
    done = CliRunner().invoke(app, ["train", "grpo", str(_recipe(place, "commanded")), "--max-steps", "1", "--json"])
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["steps"] == 1 and Path(document["guard"], "model.safetensors").is_file()
    assert "12 prompts, 8 roll-outs each; 0 are too long" in done.stderr
    card = Path(document["guard"], "README.md").read_text(encoding="utf-8")
    assert "on 12 prompts." in card and "| steps | 1 of 32 roll-outs |" in card
    assert "| roll-outs | 8 a prompt at temperature 1.0, KL weight 0.01 |" in card
    assert "| reward | a missed harm -2.0, a false alarm -1.0, the format 0.2 |" in card


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"mined": "absent"}, "holds no mined rows", id="nothing mined"),
        pytest.param({"mined": "easy"}, "none of the rows in .* is difficult", id="nothing difficult"),
        pytest.param({"mined": "mined_told"}, "cannot be told the mode of each row", id="mode in the template"),
        pytest.param({"base": "absent"}, "absent cannot be read", id="no model"),
        pytest.param({"batch_size": 12, "device_batch_size": 4}, "no multiple of rollouts", id="half a group"),
        pytest.param({"rollouts": 1}, "grpo.rollouts", id="one roll-out"),
        pytest.param({"batch_size": 128}, "12 prompts are fewer than the 16 of one step", id="too few prompts"),
        pytest.param({"max_tokens": 30, "reply_tokens": 16}, "rows need more than 30 tokens", id="nothing fits"),
        pytest.param({"reply_tokens": 256}, "leaves no room for a prompt", id="no room"),
        pytest.param({"missed_harm": 1.0}, "grpo.missed_harm", id="a reward for a missed harm"),
        pytest.param({"prompt_weight": 0, "response_weight": 0}, "nothing would be learnt", id="no reward"),
        pytest.param({"verdict_weight": 2.0}, "verdict_weight is a field of", id="a field of SFT"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_written(place: Path, options: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _train(place, "refused", **options)
    assert not (place / "refused").exists()


def test_rows_that_leave_no_room_for_an_answer_are_counted_and_named(place: Path) -> None:
    import polars as pl

    rows = [mixture_row(number, prompt=[{"role": "user", "content": "x" * (20 * number)}]) for number in range(8)]
    whole_mixture(place / "uneven", rows)
    right = [reply("Prompt harm: harmful"), reply("Prompt harm: unharmful")] * 2
    write_mined(place / "mined_uneven", place / "uneven", place / "guard", lambda row: right)
    sizes: dict[str, Any] = {"batch_size": 8, "device_batch_size": 8, "max_tokens": 96, "max_steps": 1}
    trained = _train(place, "uneven_run", mined="mined_uneven", **sizes)
    left_out = pl.read_parquet(trained.folder / "left_out" / "too_long.parquet")
    assert 0 < trained.lengths["dropped"] == left_out.height < 8
    assert left_out["tokens"].min() > 96  # type: ignore[operator]


def test_the_embedded_model_cannot_be_held_to_what_it_was(place: Path) -> None:
    from safety_reasoning.train.grpo import _check_reference

    class Config:
        name_or_path = ""

    class Guard:
        config = Config()

    _, held = load_tune_recipe(_recipe(place, "held"), GrpoRecipe)
    _, free = load_tune_recipe(_recipe(place, "free", kl=0.0), GrpoRecipe)
    _check_reference(Guard(), free)
    with pytest.raises(UsageError, match="the KL term needs a second copy"):
        _check_reference(Guard(), held)
