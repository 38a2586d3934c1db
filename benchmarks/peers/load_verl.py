"""Run by a Python that has verl: load an export with verl's own code; print what it made of it.

Arguments: the folder of the export, a folder for a tokenizer that is made here. The last line of stdout is JSON.
"""
# pyright: reportMissingImports=false

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"

SPECIAL = {"eos_token": "<|end|>", "pad_token": "<|pad|>"}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes with a chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    marks = ["<|end|>", "<|pad|>"]
    tokenizer.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=marks))
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)
    made.chat_template = TEMPLATE
    return made


def main(export: Path) -> None:
    """Load, and print."""
    os.chdir(export)
    with initialize_config_dir(config_dir=str(export), version_base=None):
        config = compose(config_name="grpo")
    OmegaConf.resolve(config)

    from verl.trainer.ppo.reward import load_reward_manager
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.dataset.rl_dataset import RLHFDataset

    tokenizer = make_tokenizer()
    rows = {}
    for split in ("train", "val"):
        data = RLHFDataset(config.data[f"{split}_files"], tokenizer, config.data)
        rows[split] = [data[position] for position in range(len(data))]
    manager = load_reward_manager(config, tokenizer)
    right = [asyncio.run(score(manager, tokenizer, row, answer(row))) for row in rows["train"]]
    wrong = [asyncio.run(score(manager, tokenizer, row, "I would rather not say.")) for row in rows["train"]]
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    print(
        json.dumps(
            {
                "prompts": {split: [row["raw_prompt"] for row in found] for split, found in rows.items()},
                "right": right,
                "wrong": wrong,
                "kl": actor.kl_loss_coef,
                "learning_rate": actor.optim.lr,
                "roll_outs": config.actor_rollout_ref.rollout.n,
                "estimator": config.algorithm.adv_estimator,
            },
            default=str,
        )
    )


def answer(row: dict[str, Any]) -> str:
    """A reply that is right and in the form of the row's mode."""
    gold = json.loads(row["reward_model"]["ground_truth"])
    said = gold["topic"] or f"Prompt harm: {gold['prompt_harm']}\n\nResponse harm: {gold['response_harm']}"
    return said if row["extra_info"]["mode"] == "non_reasoning" else f"<think>\nSo it is.\n</think>\n\n{said}"


async def score(manager: Any, tokenizer: Any, row: dict[str, Any], reply: str) -> float:
    """What verl's reward manager gives for the reply."""
    import numpy as np
    import torch
    from verl import DataProto

    ids = torch.tensor([tokenizer(reply, add_special_tokens=False)["input_ids"]])
    fields = {name: np.array([row[name]], dtype=object) for name in ("data_source", "reward_model", "extra_info")}
    data = DataProto.from_dict(tensors={"responses": ids, "attention_mask": torch.ones_like(ids)}, non_tensors=fields)
    manager.loop = asyncio.get_running_loop()
    return float((await manager.run_single(data))["reward_score"])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
