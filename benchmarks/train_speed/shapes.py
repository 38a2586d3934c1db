"""Models of the shapes that guards are made from, with random weights, and the work that a token of them is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTEXT = 4096
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A model without its weights."""

    kind: str
    """The model type, as transformers names it."""
    sizes: dict[str, Any]

    def config(self) -> Any:
        """As transformers has it."""
        from transformers import AutoConfig

        return AutoConfig.for_model(self.kind, **self.sizes, max_position_embeddings=CONTEXT)


def _shape(kind: str, vocabulary: int, width: int, inner: int, layers: int, heads: int, kv: int, head: int) -> Shape:
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "head_dim": head,
    }
    return Shape(kind, sizes)


SHAPES = {
    "8B": _shape("llama", 128_256, 4096, 14_336, 32, 32, 8, 128),  # Llama-3.1-8B
    "4B": _shape("gemma3_text", 262_208, 2560, 10_240, 34, 8, 4, 256),  # the text model of Gemma-3-4B
    "tiny": _shape("llama", 4096, 64, 128, 2, 4, 2, 16),
}


def write_model(folder: Path, shape: Shape, texts: Sequence[str]) -> None:
    """A model with random weights in bfloat16, and a tokenizer that was trained on the texts."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = _tokenizer(texts)
    config = shape.config()
    config.update({"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id})
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=4000, initial_alphabet=letters, show_progress=False)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",  # noqa: S106 - no password
        pad_token="<|pad|>",  # noqa: S106
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
    )


def flops_a_token(shape: Shape, lengths: Sequence[int]) -> float:
    """Floating-point operations of one training step for one token of rows of these lengths.

    6 for each weight of a matrix product, and causal attention's 6 × layers × width of the heads × tokens of the row
    (PaLM, Appendix B, whose 12 counts what the causal mask leaves out). What gradient checkpointing computes a second
    time does not count. Gemma's sliding windows are longer than most rows and are not taken off.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = shape.config()
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    weights = sum(parameter.numel() for parameter in model.parameters())
    if not config.tie_word_embeddings:
        weights -= model.get_input_embeddings().weight.numel()  # it is looked up, not multiplied
    row = sum(length * length for length in lengths) / sum(lengths)
    return 6.0 * weights + 6.0 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * row
