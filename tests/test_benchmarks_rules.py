"""Label rules as pure functions, and declarations that contradict themselves."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.declaration import Label, load_declaration, read_declaration, task_names
from safety_reasoning.eval.benchmarks.rows import take_row
from safety_reasoning.eval.benchmarks.rules import RULES, in_words, written

EQUALS = Label(rule="equals", columns=("l",), positive=(1, True, "unsafe"), negative=(0, False, "safe"))
FLAGS = Label(rule="any_flag", columns=("a", "b"))
VOTES = Label(rule="majority", columns=("a", "b", "c"))
ALWAYS = Label(rule="always")


@pytest.mark.parametrize(
    ("label", "row", "positive"),
    [
        (EQUALS, {"l": "unsafe"}, True),
        (EQUALS, {"l": "safe"}, False),
        (EQUALS, {"l": 1}, True),
        (EQUALS, {"l": 1.0}, True),
        (EQUALS, {"l": "0"}, False),
        (EQUALS, {"l": False}, False),
        (EQUALS, {"l": "True"}, True),
        (EQUALS, {"l": None}, None),
        (EQUALS, {"l": float("nan")}, None),
        (EQUALS, {}, None),
        (FLAGS, {"a": 0, "b": 0}, False),
        (FLAGS, {"a": 0, "b": 1}, True),
        (FLAGS, {"b": 1}, True),
        (FLAGS, {"a": 0}, None),
        (VOTES, {"a": 1, "b": 1, "c": 0}, True),
        (VOTES, {"a": 1, "b": 0, "c": 0}, False),
        (VOTES, {"a": 1, "b": 1}, None),
        (ALWAYS, {}, True),
    ],
)
def test_a_rule_reads_a_label(label: Label, row: dict[str, Any], positive: bool | None) -> None:
    assert RULES[label.rule](row, label) is positive


def test_two_of_four_votes_are_no_majority() -> None:
    four = Label(rule="majority", columns=("a", "b", "c", "d"))
    assert RULES["majority"]({"a": 1, "b": 1, "c": 0, "d": 0}, four) is False


@pytest.mark.parametrize(
    ("label", "row"),
    [
        (EQUALS, {"l": "Unsafe"}),
        (EQUALS, {"l": 2}),
        (EQUALS, {"l": ""}),
        (EQUALS, {"l": ["unsafe"]}),
        (FLAGS, {"a": 0.5, "b": 1}),
        (VOTES, {"a": 1, "b": 1, "c": "x"}),
    ],
)
def test_a_value_that_is_not_declared_is_no_label(label: Label, row: dict[str, Any]) -> None:
    with pytest.raises(BadRow) as bad:
        RULES[label.rule](row, label)
    assert bad.value.reason == Reason.UNKNOWN_LABEL


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1.0, "1"), ("1", "1"), (True, "true"), ("False", "false"), (1.5, "1.5"), (None, None)],
)
def test_values_are_written_alike_whatever_the_format(value: object, text: str | None) -> None:
    assert written(value) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
COLUMNS = sorted(
    {"prompt", "response", "label", "prompt_label", "violated_categories", "category", "is_safe", "H", "adversarial"}
)


@pytest.mark.parametrize("task", ["aegis2_prompt", "aegis2_response", "beavertails_response", "openai_moderation"])
@given(row=st.dictionaries(st.sampled_from(COLUMNS), json_values) | json_values)
def test_any_row_is_an_item_or_has_a_reason(task: str, row: object) -> None:
    declared = load_declaration(task)
    for preset in declared.presets.values():
        taken = take_row(task, row, declared, preset)
        assert len(taken.items) + len(taken.left_out) == 1
        for item in taken.items:
            written_out = (item.prompt, item.response or "", item.category or "", item.domain or "")
            assert [text.encode() for text in written_out]
            assert len(item.key) == 32


def test_every_rule_is_said_in_words() -> None:
    said = {name: in_words(load_declaration(name).label) for name in task_names()}
    assert said["aegis2_prompt"] == "prompt_label is unsafe"
    assert said["openai_moderation"] == "any of S, H, V, HR, SH, S3, H2, V2 is 1"
    assert said["harmbench_response"] == "most of human_0, human_1, human_2 are 1"
    assert said["beavertails_response"] == "is_safe is false"
    assert all(said.values())


WHOLE = """
title = "T"
subject = "prompt"
positive_class = "unsafe"
licence = "L"
citation = "C"
known_from = "K"
default = "all"

[source]
repo = "o/n"
unpinned = "why"
file = "x.csv"

[columns]
prompt = "prompt"

[label]
rule = "equals"
columns = ["label"]
positive = ["unsafe"]
negative = ["safe"]

[presets.all]
means = "every row"
"""


def declare(tmp_path: Path, text: str) -> Path:
    (tmp_path / "t.toml").write_text(text, encoding="utf-8")
    return tmp_path / "t.toml"


def test_a_declaration_is_read(tmp_path: Path) -> None:
    assert read_declaration(declare(tmp_path, WHOLE)).columns.prompt == ("prompt",)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('title = "T"', 'titel = "T"', "titel: unknown key"),
        ('default = "all"', 'default = "some"', "default = 'some' is none of its presets: all"),
        ('repo = "o/n"', "", "give either `repo` or `url`"),
        ('repo = "o/n"', 'repo = "o/n"\nurl = "https://x"', "give either `repo` or `url`"),
        ('unpinned = "why"', "", "give either `revision` or why it is `unpinned`"),
        ('unpinned = "why"', 'revision = "main"', "source.revision"),
        ('prompt = "prompt"', "", "columns.prompt is missing"),
        ('prompt = "prompt"', 'prompt = "p"\nresponse = "r"', "columns.response is given where the subject is"),
        ('subject = "prompt"', 'subject = "turn"', "the rule `dialogue` and the subject `turn` go together"),
        ('columns = ["label"]', "", "the rule `equals` needs label.columns"),
        ('negative = ["safe"]', "", "needs label.positive and label.negative"),
        ('rule = "equals"', 'rule = "clever"', "label.rule"),
        ('means = "every row"', 'means = "every row"\nrows = 0', "presets.all.rows"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in WHOLE
    with pytest.raises(UsageError) as refused:
        read_declaration(declare(tmp_path, WHOLE.replace(old, new)))
    assert says in refused.value.what and "t.toml" in refused.value.what
