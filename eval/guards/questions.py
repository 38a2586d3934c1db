"""How an item is put to a guard: prompt files, turns of a chat, and the hash that tells two ways of asking apart."""

import hashlib
import json
from pathlib import Path

from safety_reasoning.builders.prompts import Prompt, load_prompt, render
from safety_reasoning.builders.samples import Turn
from safety_reasoning.eval.benchmarks.item import Item, Subject

_FOLDER = Path(__file__).parent / "prompts"


def guard_prompt_file(name: str) -> Prompt:
    """A prompt file of the guards; its front matter states where it is from and under which licence."""
    return load_prompt(name, _FOLDER)


def filled(name: str, **variables: str) -> str:
    """The text of a prompt file, its variables filled in one pass: braces in an item stay what they are."""
    return render(guard_prompt_file(name), variables)


def shown_response(item: Item) -> str | None:
    """The response where it is what is judged; a prompt is judged without it."""
    return item.response if item.subject is Subject.RESPONSE else None


def response_or_none(item: Item) -> str:
    """The response, or the word None that prompts hold in its place."""
    response = shown_response(item)
    return "None" if response is None else response


def chat(item: Item) -> tuple[Turn, ...]:
    """The item as the conversation that it is, for guards whose chat template puts the question around it."""
    response = shown_response(item)
    said = (*item.history, Turn("user", item.prompt))
    return said if response is None else (*said, Turn("assistant", response))


def fingerprint(*names: str, **settings: object) -> str:
    """Hash of prompt files and of what else shapes the question.

    Guards that bring their own chat template have no file; their hash is that of their name and settings.
    """
    stated = [[guard_prompt_file(name).sha256 for name in names], settings]
    return hashlib.sha256(json.dumps(stated, sort_keys=True, default=str).encode("ascii")).hexdigest()
