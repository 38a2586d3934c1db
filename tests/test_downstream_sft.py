"""Fine-tuning on a release: records become TRL's conversations, and TRL trains on them where it is installed."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest

from safety_reasoning.builders.sources.published import to_record
from safety_reasoning.schemas.columns import Task
from safety_reasoning.train.conversations import Conversation, conversation
from tests.releases import content, make_release, topic

TRL = importlib.util.find_spec("trl") and importlib.util.find_spec("torch")
CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    contents = [content(1), content(2, prompt_label="unsafe", prompt_harm_label="harmful")]
    return make_release(tmp_path_factory.mktemp("sft"), contents, [topic(1), topic(2)])


def examples(release: Path, cache: Path, task: Task, *, with_trace: bool) -> Any:
    """What docs/hub.md makes of a config, with or without the traces."""
    records: Any = datasets.load_dataset(str(release), task.value, split="train", cache_dir=str(cache))

    def example(row: dict[str, Any]) -> Conversation:
        record = to_record(dict(row), task)
        return conversation(record.sample, record.traces["a"].full if with_trace else None)

    return records.map(example, remove_columns=records.column_names, keep_in_memory=True)


@pytest.mark.parametrize("with_trace", [True, False], ids=["reasoning", "none"])
@pytest.mark.parametrize("task", list(Task))
def test_a_record_that_was_loaded_becomes_a_conversation(
    release: Path, tmp_path: Path, task: Task, with_trace: bool
) -> None:
    made = examples(release, tmp_path, task, with_trace=with_trace)
    assert made.column_names == ["prompt", "completion"]
    assert len(made) == 2
    for example in made:
        assert [message["role"] for message in example["prompt"]] == ["user"]
        (answer,) = example["completion"]
        assert answer["content"].startswith("<think>\n") is with_trace
        assert answer["content"].splitlines()[-1] in {"Response harm: None", "off-topic"}


def tiny_model(folder: Path, texts: list[str]) -> Path:
    """A Llama of a few thousand weights, with a tokenizer that knows these texts."""
    tokenizers: Any = importlib.import_module("tokenizers")  # they are installed with trl alone
    transformers: Any = importlib.import_module("transformers")
    tokens = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    tokens.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
    special = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, special_tokens=sorted(set(special.values())))
    tokens.train_from_iterator(texts, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, **special)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=2, **sizes)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.skipif(not TRL, reason="needs trl and torch: the [train] extra")
@pytest.mark.timeout(300)
def test_trl_sft_takes_two_steps_on_what_the_page_writes(release: Path, tmp_path: Path) -> None:
    made = examples(release, tmp_path / "cache", Task.CONTENT_SAFETY, with_trace=True)
    made.to_parquet(tmp_path / "sft" / "train.parquet")
    texts = [message["content"] for example in made for message in (*example["prompt"], *example["completion"])]
    model = tiny_model(tmp_path / "model", texts)
    options = "--dataset_name sft --output_dir guard --max_steps 2 --use_cpu true --bf16 false --report_to none"
    command = [sys.executable, "-m", "trl.cli.main", "sft", "--model_name_or_path", str(model), *options.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "guard" / "model.safetensors").is_file()
