"""The tables [model] and [sft]: the paper's values by default, and nothing misunderstood in silence."""

from pathlib import Path

import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.train.sft_recipe import load_sft_recipe

_MODEL = '[model]\nbase = "./base"\nname = "G"\nlicense = "apache-2.0"\n'
_SFT = '[sft]\nout = "run"\nmixture = "mix"\n'


def _recipe(folder: Path, text: str) -> Path:
    path = folder / "r.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_are_the_papers_hyper_parameters(tmp_path: Path) -> None:
    sft = load_sft_recipe(_recipe(tmp_path, _MODEL + _SFT)).sft
    assert (sft.batch_size, sft.learning_rate, sft.schedule, sft.epochs, sft.lora) == (32, 1e-6, "cosine", 5, None)


def test_paths_are_relative_to_the_recipes_folder(tmp_path: Path) -> None:
    recipe = load_sft_recipe(_recipe(tmp_path, _MODEL + _SFT))
    assert recipe.model.base == str(tmp_path / "base")
    assert (recipe.sft.out, recipe.sft.mixture) == (str(tmp_path / "run"), str(tmp_path / "mix"))


@pytest.mark.parametrize("base", ["embedded", "meta-llama/Llama-3.1-8B-Instruct"])
def test_a_model_of_the_hub_is_no_path(tmp_path: Path, base: str) -> None:
    assert load_sft_recipe(_recipe(tmp_path, _MODEL.replace("./base", base) + _SFT)).model.base == base


def test_the_mixture_is_that_of_the_same_file_if_no_other_is_named(tmp_path: Path) -> None:
    text = _MODEL + '[sft]\nout = "run"\n[mixture]\nout = "made"\n'
    assert load_sft_recipe(_recipe(tmp_path, text)).sft.mixture == str(tmp_path / "made")


def test_tables_of_other_stages_are_not_looked_at(tmp_path: Path) -> None:
    load_sft_recipe(_recipe(tmp_path, _MODEL + _SFT + '[grpo]\nanything = "goes"\n'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(_MODEL + _SFT + "epoch = 3\n", "sft.epoch: unknown key", id="unknown key"),
        pytest.param(_MODEL + _SFT + "[sft.lora]\nranks = 3\n", "sft.lora.ranks: unknown key", id="key of LoRA"),
        pytest.param(_MODEL + _SFT + "[trian]\n", "trian: unknown key", id="unknown table"),
        pytest.param(_MODEL + _SFT + "[preference]\n", "preference: unknown key", id="a table that nothing reads"),
        pytest.param(_SFT, "model: Field required", id="no model"),
        pytest.param(_MODEL, "sft: Field required", id="no sft"),
        pytest.param(_MODEL + '[sft]\nout = "run"\n', "names no mixture", id="no mixture"),
        pytest.param(_MODEL + _SFT + '[mixture]\nout = "m"\n', "names two mixtures", id="two mixtures"),
        pytest.param(_MODEL + _SFT + "device_batch_size = 3\n", "batch_size = 32 is no multiple", id="uneven batch"),
        pytest.param(_MODEL + _SFT + "packing = true\nverdict_weight = 2.0\n", "no weights of their own", id="packed"),
        pytest.param(_MODEL + _SFT + "packing = true\ngroup_by_length = true\n", "one length", id="packed and grouped"),
        pytest.param(_MODEL + _SFT + "learning_rate = 0\n", "sft.learning_rate", id="no learning"),
        pytest.param(_MODEL + _SFT + "epochs = inf\n", "sft.epochs", id="endless"),
        pytest.param(_MODEL + _SFT + "keep_checkpoints = 1\n", "sft.keep_checkpoints", id="one checkpoint"),
        pytest.param(_MODEL + _SFT + 'report_to = ["wandb"]\n', "sft.report_to.0", id="unknown reporter"),
        pytest.param(_MODEL + "[sft\n", "is not TOML", id="no TOML"),
    ],
)
def test_a_recipe_that_cannot_be_used_says_which_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"r\.toml") as caught:
        load_sft_recipe(_recipe(tmp_path, text))
    assert said in str(caught.value)


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.toml cannot be read"):
        load_sft_recipe(tmp_path / "absent.toml")
