"""Run by a Python that has Axolotl: hold an export against Axolotl's own schema, and load its data with its own code.

Argument: the folder of the export. The last line of stdout is JSON.
"""
# pyright: reportMissingImports=false

import json
import os
import sys
from pathlib import Path

import datasets
import yaml
from axolotl.prompt_strategies.chat_template import StrategyLoader
from axolotl.utils.dict import DictDefault
from axolotl.utils.schemas.config import AxolotlInputConfig
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)

SPECIAL = {"eos_token": "<|end|>", "pad_token": "<|pad|>"}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes with a chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    marks = ["<|start|>", "<|end|>", "<|pad|>"]
    tokenizer.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=marks))
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)
    made.chat_template = TEMPLATE
    return made


def main(export: Path) -> None:
    """Load, and print."""
    os.chdir(export)
    settings = yaml.safe_load(Path("sft.yaml").read_text(encoding="utf-8"))
    config = DictDefault(AxolotlInputConfig(**settings).model_dump(exclude_none=True))
    tokenizer = make_tokenizer()
    (source,) = config.datasets
    data = datasets.load_dataset(source.ds_type, data_files=source.path, split="train")
    strategy = StrategyLoader()(tokenizer, config, ds_cfg=source)
    rows = []
    for row in data:
        made = strategy.tokenize_prompt(row)
        taught = [label for label in made["labels"] if label != -100]
        rows.append({"all": tokenizer.decode(made["input_ids"]), "completion": tokenizer.decode(taught)})
    print(json.dumps({"rows": rows, "learning_rate": config.learning_rate, "epochs": config.num_epochs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
