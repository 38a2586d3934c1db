"""Tokens a second, and how much of the GPU they use: full fine-tuning of models of two shapes with random weights.

Rows of the paper's prompt with traces of a few hundred words, batches of 32 sequences, packing and Liger on and off;
beside them a plain TRL run of the same settings and, where a Python is named that has it, LlamaFactory.

    python benchmarks/train_gpu.py                           # an 8B and a 4B shape; a GPU of 141 GB, 20 GB of disk
    python benchmarks/train_gpu.py --llamafactory PYTHON     # that of an environment with llamafactory 0.9.5
    python benchmarks/train_gpu.py --quick                   # a tiny shape on any machine: that it runs, no figures

MFU is what the tokens' matrix products and causal attention take, of what the GPU can do in dense bf16. The last line
of stdout is one JSON document.
"""

import argparse
import dataclasses
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from engine.measure import Report, run
from train_speed.case import WARM, Case
from train_speed.rows import write_rows
from train_speed.shapes import SHAPES, flops_a_token, write_model

from safety_reasoning.train.export_llamafactory import export_llamafactory
from safety_reasoning.train.training_quiet import quiet

_FOLDER = Path(__file__).parent
_PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Floating-point operations a second in dense bf16, from the makers' data sheets, by a part of the GPU's name."""
_MFU = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What a case came to."""

    shape: str
    case: Case
    tokens_a_second: float
    mfu: float | None
    """None where the GPU's peak is not known."""
    peak_gib: float | None

    @property
    def label(self) -> str:
        """As the table names it."""
        parts = (self.shape, self.case.who, "packed" if self.case.packing else "padded")
        return ", ".join(parts) + (", Liger" if self.case.liger else "")


def main() -> None:
    """Make the models and the rows, measure every case, a table, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny shape, a few steps, no goals")
    parser.add_argument("--llamafactory", type=Path, metavar="PYTHON", help="of an environment that has LlamaFactory")
    given = parser.parse_args()
    quiet()
    report, gpu = Report(), _gpu()
    if gpu is None and not given.quick:
        parser.error("there is no GPU here: --quick tries the script out without one")
    report.line(f"on {gpu or 'a CPU'}; LlamaFactory {'is run too' if given.llamafactory else 'is not run'}")
    report.line()
    report.line("| shape, by whom, how | tokens/s | MFU | peak memory, GiB |")
    report.line("|---|---:|---:|---:|")
    speeds: list[Speed] = []
    for shape in ("tiny",) if given.quick else ("8B", "4B"):
        for speed in _measure(shape, given.llamafactory, gpu, quick=given.quick):
            speeds.append(speed)
            cells = (f"{speed.tokens_a_second:.0f}", _cell(speed.mfu, ".1%"), _cell(speed.peak_gib, ".1f"))
            report.line(f"| {speed.label} | {' | '.join(cells)} |")
            report.measure(f"tokens/s, {speed.label}", speed.tokens_a_second)
    if not given.quick:
        _claims(report, speeds)
    report.end()


def _measure(shape: str, llamafactory: Path | None, gpu: str | None, *, quick: bool) -> Iterator[Speed]:
    """The speed of every case of a shape."""
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        texts = write_rows(folder / "mixture", 40 if quick else 2000)
        write_model(folder / "model", SHAPES[shape], texts)
        if llamafactory is not None:
            model = str(folder / "model")
            export_llamafactory(folder / "mixture", folder / "export", model=model, template="chatml")
        flops = flops_a_token(SHAPES[shape], _lengths(folder))
        peak = next((peak for part, peak in _PEAK.items() if part in (gpu or "")), None)
        for case in _cases(folder, with_llamafactory=llamafactory is not None, gpu=gpu is not None, quick=quick):
            said = _run(case, llamafactory)
            rate = said["tokens"] / said["seconds"]
            mfu = None if peak is None else rate * flops / peak
            yield Speed(shape=shape, case=case, tokens_a_second=rate, mfu=mfu, peak_gib=said["peak_gib"])


def _cases(folder: Path, *, with_llamafactory: bool, gpu: bool, quick: bool) -> Iterator[Case]:
    """Ours four ways, the others as fast as they go."""
    ways = (False, True) if gpu and importlib.util.find_spec("liger_kernel") else (False,)
    peers = ["trl", *(["llamafactory"] if with_llamafactory else [])]
    tried = [("ours", packing, liger) for packing in (False, True) for liger in ways]
    tried += [(who, True, ways[-1]) for who in peers]
    for number, (who, packing, liger) in enumerate(tried):
        yield Case(
            who=who,
            model=str(folder / "model"),
            mixture=str(folder / ("export" if who == "llamafactory" else "mixture")),
            out=str(folder / f"out_{number}"),
            packing=packing,
            liger=liger,
            steps=WARM + (1 if quick else 10),
            batch=2 if quick else 32,
            at_once=1 if quick else 4,
            max_tokens=2048 if quick else 4096,
        )


def _run(case: Case, llamafactory: Path | None) -> dict[str, float]:
    fields = dataclasses.asdict(case)
    if case.who == "llamafactory":
        script, python, told = _FOLDER / "peers" / "train_llamafactory.py", llamafactory, fields | {"warm": WARM}
    else:
        script, python, told = _FOLDER / "train_speed" / "case.py", Path(sys.executable), fields
    return run([str(python), script, json.dumps(told)], env={"PYTHONPATH": str(_FOLDER)}).document()


def _lengths(folder: Path) -> list[int]:
    """Tokens of each row, all of it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    rows = pl.read_parquet(folder / "mixture" / "data" / "*.parquet").to_dicts()
    chats = [tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False) for row in rows]
    return [len(ids) for ids in tokenizer(chats, add_special_tokens=False)["input_ids"]]


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _cell(value: float | None, form: str) -> str:
    return "n/a" if value is None else format(value, form)


def _claims(report: Report, speeds: list[Speed]) -> None:
    for shape in dict.fromkeys(speed.shape for speed in speeds):
        ours = max((s for s in speeds if (s.shape, s.case.who) == (shape, "ours")), key=lambda s: s.tokens_a_second)
        if ours.mfu is not None:
            report.claim(f"MFU, {shape}, the fastest of ours", ours.mfu, "", _MFU, "more")
        for peer in (s for s in speeds if s.shape == shape and s.case.who != "ours"):
            times = ours.tokens_a_second / peer.tokens_a_second
            report.claim(f"tokens/s over those of {peer.case.who}, {shape}", times, "×", 1.0, "more")


if __name__ == "__main__":
    main()
