"""Run by a Python that has LlamaFactory: load an export with LlamaFactory's own code; print what it made of it.

Arguments: the folder of the export, a folder for a model that is made here. The last line of stdout is JSON.
"""
# pyright: reportMissingImports=false

import importlib.util
import json
import os
import sys
import types
from pathlib import Path

import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, PreTrainedTokenizerFast

MARKS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>", "<|pad|>"]

SPECIAL = {"bos_token": MARKS[0], "eos_token": "<|eot_id|>", "pad_token": "<|pad|>"}


def make_model(folder: Path) -> None:
    """A tokenizer of bytes and the configuration of a tiny model: LlamaFactory asks for both."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=MARKS))
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)
    made.save_pretrained(folder)
    LlamaConfig(vocab_size=len(made), hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(folder)


def main(export: Path, model: Path) -> None:
    """Load, and print."""
    make_model(model)
    script = (export / "train.sh").read_text(encoding="utf-8")
    line = next(line for line in script.splitlines() if line.startswith("export "))
    for pair in line.removeprefix("export ").split('" '):
        name, _, value = pair.partition("=")
        os.environ[name] = value.strip('"')

    if importlib.util.find_spec("torchaudio") is None:  # LlamaFactory imports it; it has no build for the CPU
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    os.chdir(export)
    settings = yaml.safe_load(Path("sft.yaml").read_text(encoding="utf-8"))
    stated = dict(settings)
    # What needs a GPU or DeepSpeed is left out; a tiny model stands in for the one that is trained.
    settings |= {"model_name_or_path": str(model), "bf16": False, "deepspeed": None, "output_dir": str(model / "out")}
    model_args, data_args, training_args, _, _ = get_train_args(settings)
    tokenizer_module = load_tokenizer(model_args)
    tokenizer = tokenizer_module["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    data = get_dataset(template, model_args, data_args, training_args, stage="sft", **tokenizer_module)["train_dataset"]
    rows = []
    for row in data:
        tokens = list(zip(row["input_ids"], row["labels"], strict=True))
        prompt = tokenizer.decode([token for token, label in tokens if label == -100])
        rows.append({"prompt": prompt, "completion": tokenizer.decode([t for t, label in tokens if label != -100])})
    print(
        json.dumps(
            {
                "rows": rows,
                "learning_rate": training_args.learning_rate,
                "epochs": training_args.num_train_epochs,
                "schedule": training_args.lr_scheduler_type,
                "batch": training_args.per_device_train_batch_size * training_args.gradient_accumulation_steps,
                "settings": stated,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
