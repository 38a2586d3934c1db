"""What the trainer is told: a recipe on the devices at hand."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safety_reasoning.errors import UsageError
from safety_reasoning.train.sft_recipe import SftRecipe

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig

_SHARED = (
    *("output_dir", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm"),
    *("gradient_checkpointing", "bf16", "use_cpu", "ddp_find_unused_parameters", "use_liger_kernel"),
    *("seed", "data_seed", "save_steps", "save_total_limit", "logging_steps", "logging_nan_inf_filter"),
    *("report_to", "disable_tqdm", "dataloader_pin_memory", "project", "trackio_static_space_id"),
    "include_num_input_tokens_seen",
)
"""Settings that TRL's trainers have in common and the recipe decides."""


@dataclass(frozen=True, slots=True)
class Devices:
    """Where the training runs."""

    processes: int
    gpu: bool
    bf16: bool
    """Whether the GPU multiplies in bf16."""


def find_devices() -> Devices:
    """The devices of this process and its peers."""
    import torch

    gpu = torch.cuda.is_available()
    return Devices(processes().num_processes, gpu, gpu and torch.cuda.is_bf16_supported())


def processes() -> "PartialState":
    """This process and its peers, as a launcher (accelerate launch, torchrun) started them; one without a launcher."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def weights_dtype(recipe: SftRecipe, devices: Devices) -> "torch.dtype":
    """Of the weights in training; float32 where they themselves are trained, unless the recipe says otherwise."""
    import torch

    named = recipe.weights
    if named == "auto":
        named = "bfloat16" if recipe.lora is not None and devices.bf16 else "float32"
    return torch.bfloat16 if named == "bfloat16" else torch.float32


def lora_config(recipe: SftRecipe, layers: int) -> "LoraConfig | None":
    """Peft's settings of the recipe's adapters for a model of so many layers; None without [sft.lora]."""
    if recipe.lora is None:
        return None
    from peft import LoraConfig

    targets = recipe.lora.targets
    top = None if recipe.train_layers is None else list(range(layers - recipe.train_layers, layers))
    return LoraConfig(
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        layers_to_transform=top,
        task_type="CAUSAL_LM",
    )


def sft_config(recipe: SftRecipe, devices: Devices, folder: Path) -> "SFTConfig":
    """TRL's settings; checkpoints are written below `folder`.

    Raises: UsageError if the batch cannot be spread over the devices, or what the recipe wants is not there.
    """
    from trl.trainer.sft_config import SFTConfig

    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and devices.bf16)
    liger = _liger(recipe, devices)
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        per_device_train_batch_size=recipe.device_batch_size,
        gradient_accumulation_steps=_accumulate(recipe, devices),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=recipe.warmup_share,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        max_length=recipe.max_tokens if recipe.packing else None,
        packing=recipe.packing,
        gradient_checkpointing=recipe.gradient_checkpointing,
        bf16=bf16,
        use_cpu=not devices.gpu,
        ddp_find_unused_parameters=False,
        use_liger_kernel=liger,
        train_sampling_strategy="group_by_length" if recipe.group_by_length else "random",
        seed=recipe.seed,
        data_seed=recipe.seed,
        save_steps=recipe.save_every,
        save_total_limit=recipe.keep_checkpoints,
        logging_steps=recipe.log_every,
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=devices.gpu,
        project=folder.parent.name,
        trackio_static_space_id=False,
    )


def shared_settings(config: "SFTConfig") -> dict[str, Any]:
    """What a recipe says to every trainer, as `sft_config` put it."""
    return {name: getattr(config, name) for name in _SHARED}


def _accumulate(recipe: SftRecipe, devices: Devices) -> int:
    at_once = recipe.device_batch_size * devices.processes
    if recipe.batch_size % at_once:
        raise UsageError(
            f"batches of {recipe.batch_size} cannot be spread over {devices.processes} devices",
            why=f"each computes {recipe.device_batch_size} sequences at once, together {at_once}",
            fix=f"choose another {recipe.method}.device_batch_size or number of devices",
        )
    return recipe.batch_size // at_once


def _liger(recipe: SftRecipe, devices: Devices) -> bool:
    there = importlib.util.find_spec("liger_kernel") is not None
    if recipe.liger == "on" and not (there and devices.gpu):
        raise UsageError(
            f'{recipe.method}.liger is "on", but its kernels cannot run here',
            why="liger-kernel is not installed" if devices.gpu else "they need a GPU",
            fix="pip install liger-kernel" if devices.gpu else 'leave it at "auto"',
        )
    return recipe.liger != "off" and there and devices.gpu
