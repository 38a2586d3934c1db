"""Mixtures, guards and mined rows by hand, small enough to train on in a test."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.files import sha256_of
from safety_reasoning.train.mine_guard import guard_id
from safety_reasoning.train.mine_mixture import write_oversampled
from safety_reasoning.train.mine_outcome import judge
from safety_reasoning.train.mine_report import count
from safety_reasoning.train.mine_rows import Asked, asked_rows
from safety_reasoning.train.mine_samples import Kind, Sample, generation
from safety_reasoning.train.mine_write import DIFFICULT, MIXTURE, Found, write_report, write_samples
from safety_reasoning.train.mixture_read import read_mixture
from tests.tiny_model import CHAT_TEMPLATE, mixture_row, write_mixture, write_tiny_model

KEEP = (2, 3)
TOPICS = ("on-topic", "off-topic")


def safety_answer(prompt: str, response: str = "None") -> str:
    return f"Prompt harm: {prompt}\n\nResponse harm: {response}"


def reply(answer: str, *, reasoning: str | None = None, status: Status = Status.OK, index: int = 0) -> Reply:
    """One generation, as an engine gives it."""
    return Reply(
        key="0" * 32,
        sample_key="0" * 32,
        teacher="guard",
        step=Step.MINE,
        sample_index=index,
        status=status,
        reasoning=reasoning,
        answer=answer,
        completion_tokens=3,
    )


def whole_mixture(folder: Path, rows: Sequence[dict[str, Any]], mark: dict[str, str] | None = None) -> Path:
    """A mixture whose mixture.json states all that a card needs."""
    write_mixture(folder, rows, mark)
    path = folder / "mixture.json"
    stated = json.loads(path.read_text(encoding="utf-8"))
    release: dict[str, Any] = {"name": "R", "version": "1.2.3", "repo": "o/r", "commit": None}
    stated |= {
        "license": "cc-by-4.0",
        "configs": {"default": {"records": len(rows)}},
        "tool": {"name": "safety-reasoning", "version": "0"},
        "parts": [
            {"task": "content_safety", "rows": len(rows), "usable": len(rows), "teachers": {}, "release": release}
        ],
        "left_out": [],
        "decontamination": None,
    }
    path.write_text(json.dumps(stated), encoding="utf-8")
    return folder


def write_tiny_guard(folder: Path, name: str = "Tiny guard") -> Path:
    """A tiny model as the folder of a guard."""
    write_tiny_model(folder)
    return _stated_guard(folder, name)


def write_served_guard(folder: Path, name: str = "Tiny guard") -> Path:
    """The folder of a guard that somebody serves: what is looked at of it, and weights that nobody loads."""
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights of " + name.encode())
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return _stated_guard(folder, name)


def _stated_guard(folder: Path, name: str) -> Path:
    base = {"repo": "o/base", "commit": None, "file_sha256": None, "guard": None}
    stated = {"format": 1, "name": name, "version": "0.1.0", "base": base}
    (folder / "training.json").write_text(json.dumps(stated), encoding="utf-8")
    return folder


def topic_row(number: int, topic: str, text: str | None = None) -> dict[str, Any]:
    """A row of topic control, whose answer has few tokens."""
    return mixture_row(
        number,
        task="topic_control",
        prompt=[{"role": "user", "content": f"{number:02}?" if text is None else text}],
        completion=[{"role": "assistant", "content": topic}],
        prompt_harm=None,
        topic=topic,
    )


def write_torn_guard(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A tiny guard that answers each of the rows with either topic, as often the one as the other."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_tiny_guard(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    chats = [[*row["prompt"], {"role": "assistant", "content": said}] for row in rows for said in TOPICS]
    options = {"padding": True, "return_tensors": "pt", "return_dict": True}
    batch = tokenizer.apply_chat_template(chats, tokenizer_kwargs={"padding_side": "right"}, **options)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        model(**batch, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def write_mined(
    folder: Path, mixture: Path, guard: Path, answers: Callable[[dict[str, Any]], Sequence[Reply]], *, times: int = 1
) -> Path:
    """A folder of mined rows in which every row was answered so."""
    read = read_mixture(mixture)
    rows = {(row["key"], row["mode"]): row for row in read.records()}

    def answered(some: Iterable[Asked]) -> Iterator[Sample]:
        for asked in some:
            said = (generation(one, judge(asked.labels, one)) for one in answers(rows[asked.id]))
            yield Sample(asked, tuple(said))

    found = Found(asked_rows(rows.values()), answered, {})
    samples = found.counted()
    folder.mkdir(parents=True)
    write_samples(folder, found, samples, KEEP)
    difficult = [sample.row.id for sample in samples if sample.kind(KEEP) is Kind.DIFFICULT]
    one = guard_id(guard, "")
    stated = {"guard": {"name": one.name, "version": one.version, "fingerprint": one.fingerprint}}
    if difficult:
        said = {"name": "Mined", "oversample": {"keys": {"sha256": sha256_of(folder / DIFFICULT)}, "times": times}}
        write_oversampled(folder / MIXTURE, read, difficult, times, said)
    write_report(folder, stated, count(samples, KEEP, {}))
    return folder
