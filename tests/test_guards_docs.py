"""docs/guards.md lists the guards and settings that there are."""

import tomllib

import pytest
import regex

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.item import Subject
from safety_reasoning.eval.guards.adapters import guard_names, guard_settings, open_guard
from safety_reasoning.eval.runs.recipe import GuardRecipe
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "guards.md").read_text(encoding="utf-8")
JUDGES = {"prompts": Subject.PROMPT, "responses": Subject.RESPONSE, "turns": Subject.TURN}


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose first row is that."""
    _, _, rest = PAGE.partition(heading + "\n")
    lines = rest.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


GUARDS = table(
    "| name | model | judges | an item's policy | prompt | answer | licence of the model |",
)
SETTINGS = table("| name | setting | values, the default first | what it does |")


def test_every_guard_has_a_row_that_says_what_it_judges_and_whether_it_reads_policies() -> None:
    assert [row[0].strip("`") for row in GUARDS] == list(guard_names())
    for name, _, judges, policy, *_ in GUARDS:
        guard = open_guard(name.strip("`"))
        subjects = set(JUDGES.values()) if judges == "all" else {JUDGES[word] for word in judges.split(", ")}
        assert guard.subjects == subjects, name
        assert guard.takes_policy == (policy != "not read" and not policy.startswith("with ")), name


def test_every_setting_has_a_row_with_its_values_and_its_default_first() -> None:
    documented = [(row[0].strip("`"), row[1].strip("`")) for row in SETTINGS]
    assert sorted(documented) == sorted((name, setting) for name in guard_names() for setting in guard_settings(name))
    for name, setting, values, _ in SETTINGS:
        adapter, key = name.strip("`"), setting.strip("`")
        listed = regex.findall(r"`([^`]+)`", values)
        default = guard_settings(adapter)[key]
        if isinstance(default, str):
            assert listed[0] == default
        for value in listed:
            open_guard(adapter, **{key: value})
        assert listed or values in ("false, true", "not told, true, false", "none"), (adapter, key)


def test_every_choice_of_a_setting_is_listed() -> None:
    for name, setting, values, _ in SETTINGS:
        with pytest.raises(UsageError) as refused:
            open_guard(name.strip("`"), **{setting.strip("`"): 7})
        choices = set(regex.findall(r"'([^']+)'", refused.value.why))
        assert set(regex.findall(r"`([^`]+)`", values)) == choices


def test_the_example_is_a_table_that_recipes_take() -> None:
    block = regex.search(r"(?s)```toml\n(.*?)```", PAGE)
    assert block is not None
    recipe = GuardRecipe.model_validate(tomllib.loads(block[1])["guard"])
    assert open_guard(recipe.adapter, **recipe.settings).name == "ours"
