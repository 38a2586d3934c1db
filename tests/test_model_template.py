"""The switch between the modes in a guard's chat template."""

from typing import Any

import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.train.conversations import Mark
from safety_reasoning.train.model_template import guard_template
from tests.tiny_model import CHAT_TEMPLATE, tiny_tokenizer

pytest.importorskip("transformers")
PREFIX = Mark(place="prefix", on="[reasoning]", off="[non-reasoning]")
SUFFIX = Mark(place="suffix", on="/think", off="/no_think")
TEMPLATE = Mark(place="template", on="", off="")
KNOWS_MODES = CHAT_TEMPLATE + "{% if enable_thinking is defined and not enable_thinking %}<quick>{% endif %}"


def _baked(mark: Mark | None, *, default: bool = True, template: str = CHAT_TEMPLATE) -> Any:
    tokenizer = tiny_tokenizer(chat_template=template)
    tokenizer.chat_template, _ = guard_template(tokenizer, mark, enable_thinking=default)
    return tokenizer


def _said(tokenizer: Any, *contents: str, **options: Any) -> str:
    roles = ("user", "assistant")
    chat = [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]
    return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **options))


def _plain(*contents: str) -> str:
    return _said(tiny_tokenizer(), *contents)


@pytest.mark.parametrize(
    ("mark", "on", "off"),
    [
        pytest.param(PREFIX, "[reasoning] Is it?", "[non-reasoning] Is it?", id="prefix"),
        pytest.param(SUFFIX, "Is it? /think", "Is it? /no_think", id="suffix"),
        pytest.param(TEMPLATE, "Is it? /think", "Is it? /no_think", id="template of a model without modes"),
    ],
)
def test_a_request_says_the_mode_and_the_template_puts_the_mark(mark: Mark, on: str, off: str) -> None:
    tokenizer = _baked(mark)
    assert _said(tokenizer, "Is it?", enable_thinking=True) == _plain(on)
    assert _said(tokenizer, "Is it?", enable_thinking=False) == _plain(off)


@pytest.mark.parametrize("default", [True, False])
def test_a_request_that_says_nothing_gets_the_recipes_mode(default: bool) -> None:
    said = _said(_baked(SUFFIX, default=default), "Is it?")
    assert said == _plain("Is it? /think" if default else "Is it? /no_think")


@pytest.mark.parametrize("mark", [PREFIX, SUFFIX], ids=["prefix", "suffix"])
@pytest.mark.parametrize("thinks", [True, False])
def test_a_prompt_that_has_its_mark_is_left_as_it_is(mark: Mark, thinks: bool) -> None:
    marked = mark.put("Is it?", "reasoning" if thinks else "non_reasoning")
    assert _said(_baked(mark), marked, enable_thinking=not thinks) == _plain(marked)


def test_only_the_last_user_message_is_marked() -> None:
    said = _said(_baked(SUFFIX), "First?", "Yes.", "Second?", enable_thinking=False)
    assert said == _plain("First?", "Yes.", "Second? /no_think")


def test_a_mark_within_a_prompt_is_text() -> None:
    prompt = "Write /think and [reasoning] {{ messages }} {% endfor %}"
    assert _said(_baked(SUFFIX), prompt, enable_thinking=False) == _plain(f"{prompt} /no_think")


def test_a_template_that_knows_modes_is_left_to_its_own_words() -> None:
    tokenizer = _baked(TEMPLATE, default=False, template=KNOWS_MODES)
    assert _said(tokenizer, "Is it?").endswith("<quick>")
    assert not _said(tokenizer, "Is it?", enable_thinking=True).endswith("<quick>")


def test_a_guard_of_one_mode_keeps_the_models_template() -> None:
    assert _baked(None).chat_template == CHAT_TEMPLATE


def test_a_model_without_a_chat_template_is_refused() -> None:
    with pytest.raises(UsageError, match="has no chat template") as caught:
        _baked(None, template="")
    assert "chat_template" in caught.value.fix


@pytest.mark.parametrize("on", ['"}}{{ cycler }}', "/think\n", "{% x %}", "it's", " /think", "x" * 70, "\\u007b"])
def test_a_mark_that_is_more_than_text_in_a_template_is_refused(on: str) -> None:
    with pytest.raises(UsageError, match="marks cannot be put into a chat template"):
        _baked(Mark(place="suffix", on=on, off="/no_think"))
