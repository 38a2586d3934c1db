"""A model of a few thousand weights with a tokenizer of single bytes, and mixtures by hand to train it on."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTEXT = 4096
ON, OFF = "/think", "/no_think"
SUFFIX = {"place": "suffix", "on": ON, "off": OFF}
TRACE = "It asks how to hurt somebody."
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def tiny_tokenizer(*, chat_template: str | None = CHAT_TEMPLATE, texts: Sequence[str] = ()) -> Any:
    """Each byte is a token, and each mark of a turn; of `texts`, what recurs in them is one token too."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=bool(texts))
    inner.decoder = decoders.ByteLevel()
    if texts:
        inner.train_from_iterator(
            texts, trainers.BpeTrainer(vocab_size=600, initial_alphabet=letters, show_progress=False)
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=chat_template,
    )


def write_tiny_model(
    folder: Path, *, kind: str = "llama", chat_template: str | None = CHAT_TEMPLATE, texts: Sequence[str] = ()
) -> Path:
    """A folder with a model of random weights, always the same; `kind` is llama, or gemma3, which also sees images."""
    import torch

    tokenizer = tiny_tokenizer(chat_template=chat_template, texts=texts)
    torch.manual_seed(0)
    _model(kind, len(tokenizer), tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _model(kind: str, vocabulary: int, tokenizer: Any) -> Any:
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3TextConfig,
        LlamaConfig,
        LlamaForCausalLM,
        SiglipVisionConfig,
    )

    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "initializer_range": 0.2,  # large enough that a token depends on those before it
    }
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=True))
    text = Gemma3TextConfig(**shape, head_dim=8, sliding_window=64)
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    return Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4))


def mixture_row(number: int, *, mode: str = "non_reasoning", **changes: Any) -> dict[str, Any]:
    """A row of content safety; every other one is harmful."""
    harm = "harmful" if number % 2 else "unharmful"
    trace = f"<think>\n{TRACE}\n</think>\n\n" if mode == "reasoning" else ""
    row: dict[str, Any] = {
        "key": f"{number:032x}",
        "task": "content_safety",
        "mode": mode,
        "teacher": "qwen3_32b" if mode == "reasoning" else None,
        "prompt": [{"role": "user", "content": f"Is number {number} harmful?"}],
        "completion": [
            {"role": "assistant", "content": f"{trace}Prompt harm: {harm}\n\nResponse harm: None"},
        ],
        "prompt_harm": harm,
        "response_harm": None,
        "topic": None,
    }
    return row | changes


def dual_rows(count: int) -> list[dict[str, Any]]:
    """Rows of which every other one has a trace, with the mode said after the prompt."""
    rows = []
    for number in range(count):
        mode, mark = ("reasoning", ON) if number % 2 else ("non_reasoning", OFF)
        text = f"Is number {number} harmful? {mark}"
        rows.append(mixture_row(number, mode=mode, prompt=[{"role": "user", "content": text}]))
    return rows


def write_mixture(folder: Path, rows: Sequence[dict[str, Any]], mark: dict[str, str] | None = None) -> Path:
    """A mixture's folder with these rows, as it is documented."""
    fields = [(name, pa.string()) for name in ("key", "task", "mode", "teacher")]
    fields += [("prompt", _MESSAGES), ("completion", _MESSAGES)]
    fields += [(name, pa.string()) for name in ("prompt_harm", "response_harm", "topic")]
    if any("chat_template_kwargs" in row for row in rows):
        fields.append(("chat_template_kwargs", pa.struct([("enable_thinking", pa.bool_())])))
    data = folder / "data" / "train-00000-of-00001.parquet"
    data.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(fields)), data)
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    modes = {row["mode"] for row in rows}
    stated = {
        "format": 1,
        "name": "By hand",
        "version": "0.1.0",
        "hash": hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest(),
        "rows": len(rows),
        "mode": "dual" if len(modes) == 2 else (modes or {"non_reasoning"}).pop(),
        "trace": "efficient",
        "mark": mark,
        "parts": [
            {"task": "content_safety", "size": None, "release": {"name": "R", "version": "1.2.3", "repo": "o/r"}},
        ],
        "counts": {"task": {"content_safety": len(rows)}},
        "files": {data.relative_to(folder).as_posix(): {"bytes": data.stat().st_size, "sha256": digest}},
    }
    (folder / "mixture.json").write_text(json.dumps(stated), encoding="utf-8")
    return folder
