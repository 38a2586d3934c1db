"""The chat template of a guard: the base model's, with the switch between its two modes in front of it.

A request says which mode it wants by a mark in its text, as the mixture's rows do, or with
`chat_template_kwargs = {"enable_thinking": false}`, as servers pass it on; then the template puts the mark there.
"""

import json
import re
from pathlib import Path
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.train.conversations import Mark

_SWITCH = Path(__file__).with_name("guard_template.jinja")
_PLAIN = re.compile(r"[^\s{}\"'\\%#](?:[^{}\"'\\%#\n\r]{0,62}[^\s{}\"'\\%#])?")
"""A mark that stays a piece of text inside a template."""
_END = "{#- The model's own template follows. #}"
"""Stands between the switch and the model's template, so that a guard that goes on from a guard has one switch."""
_IN_TEMPLATE = Mark(place="suffix", on="/think", off="/no_think")
"""The marks where the rows leave the mode to the template, and the base model's template knows no modes."""
_PROBE = [{"role": "user", "content": "Which?"}]


def guard_template(tokenizer: Any, mark: Mark | None, *, enable_thinking: bool) -> tuple[str, Mark | None]:
    """The chat template that a guard is trained with and ships, and the marks that it puts into prompts, if any.

    `mark` is the mixture's; None for guards of one mode, whose template is the base model's. `enable_thinking` is what
    a request means that says nothing.

    Raises: UsageError if the model has no template, or a mark would be more than text in one.
    """
    base = tokenizer.chat_template
    if not isinstance(base, str) or not base:
        raise UsageError(
            "the model has no chat template",
            why="it is a base model, or has several templates" if base else "its tokenizer names none",
            fix="choose the instruction-tuned model, or give [model] `chat_template`, a Jinja file",
        )
    base = base.rpartition(_END)[2]
    if mark is None:
        return base, None
    if mark.place == "template":
        if _knows_modes(tokenizer):
            return _default(enable_thinking) + _END + base, None
        mark = _IN_TEMPLATE
    for text in (mark.on, mark.off):
        if not _PLAIN.fullmatch(text):
            raise UsageError(
                "the mixture's marks cannot be put into a chat template",
                why="a mark has at most 64 characters on one line, and none of { } \" ' \\ % #",
                fix='make the mixture with other marks, such as "/think" and "/no_think"',
            )
    return _settings(mark, enable_thinking) + _SWITCH.read_text(encoding="utf-8").strip() + _END + base, mark


def _settings(mark: Mark, enable_thinking: bool) -> str:
    values = {
        "guard_on": json.dumps(mark.on, ensure_ascii=False),
        "guard_off": json.dumps(mark.off, ensure_ascii=False),
        "guard_place": json.dumps(mark.place),
        "guard_default": "true" if enable_thinking else "false",
    }
    return "".join(f"{{%- set {name} = {value} -%}}\n" for name, value in values.items())


def _knows_modes(tokenizer: Any) -> bool:
    """Whether the model's own template says something else for each mode."""
    said = {
        tokenizer.apply_chat_template(_PROBE, tokenize=False, add_generation_prompt=True, enable_thinking=mode)
        for mode in (True, False)
    }
    return len(said) == 2


def _default(enable_thinking: bool) -> str:
    value = "true" if enable_thinking else "false"
    return f"{{%- if enable_thinking is not defined -%}}{{%- set enable_thinking = {value} -%}}{{%- endif -%}}"
