"""Prompt files: the paper's to the letter, filled once."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders import prompts
from safety_reasoning.builders.calls import Call, Status, Step
from safety_reasoning.builders.prompts import load_prompt, render
from safety_reasoning.builders.questions import efficient_call, full_call, predict_call
from safety_reasoning.builders.recipe import TeacherRecipe
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.sources import aegis, canttalk, wildguard
from safety_reasoning.builders.teachers.embedded import grammar_for
from safety_reasoning.errors import UsageError
from tests.conftest import ROOT, aegis_row, dialogue

NAMES = sorted(path.stem for path in (ROOT / "builders" / "prompts").glob("*.md"))
PAPER = {
    "generate_aegis": "e5920a73f35656916d2b8806c3b2be1f7117073ee1483d178c7fbcc11429ca13",
    "generate_wildguard": "2e24718b0a8c1ebeb2a2813d8b5d08acd723dbe0383d8f5b741299093e5d5bf9",
    "classify_safety": "bf970f6a0a5d38cc59550d35970a5956c9bc6ee7928ecd429321eb357a4005ce",
}
"""sha256 of the bodies as Appendix H prints them, without the final newline."""
TEACHER = TeacherRecipe(name="t", engine="embedded")
SAMPLES: dict[str, Sample] = {
    "aegis": aegis.to_sample(aegis_row(), None),
    "topic": canttalk.to_samples(dialogue())[0][0],
    "wildguard": wildguard.to_sample(
        dict.fromkeys(wildguard.COLUMNS) | {"prompt": "p", "prompt_harm_label": "harmful"}
    ),
}


def calls(sample: Sample) -> dict[Step, Call | None]:
    full = full_call(sample, TEACHER)
    reply = full.request(full.key).reply(Status.OK, reasoning="It asks about knives.")
    return {
        Step.FULL: full,
        Step.PREDICT: predict_call(sample, TEACHER),
        Step.EFFICIENT_1: efficient_call(sample, TEACHER, reply, 1),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_file_loads_and_says_where_it_is_from(name: str) -> None:
    prompt = load_prompt(name)
    assert prompt.version >= 1
    assert prompt.source
    assert prompt.body == prompt.body.strip("\n")


@pytest.mark.parametrize(("name", "sha256"), PAPER.items())
def test_the_papers_prompts_are_unchanged(name: str, sha256: str) -> None:
    assert load_prompt(name).sha256 == sha256


@pytest.mark.parametrize("step", [Step.FULL, Step.PREDICT, Step.EFFICIENT_1])
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_the_embedded_engine_has_a_grammar_for_every_step_of_every_source(sample: Sample, step: Step) -> None:
    call = calls(sample)[step]
    assert call is not None
    assert call.grammar == grammar_for(call.prompt.name)
    assert call.grammar.startswith("root ::= ")
    assert call.request(call.key).text  # every variable of the prompt is given


def test_no_grammar_is_left_over() -> None:
    asked = {call.prompt.name for sample in SAMPLES.values() for call in calls(sample).values() if call}
    asked |= {"classify_safety_no_reasoning", "classify_topic_no_reasoning"}  # of guards that do not reason
    assert asked == {path.stem for path in (ROOT / "builders" / "teachers" / "grammars").iterdir()}


def test_a_prompt_without_a_grammar_is_an_error() -> None:
    with pytest.raises(UsageError, match="taxonomy_aegis"):
        grammar_for("taxonomy_aegis")


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_filling_a_prompt_never_looks_at_the_text_again(name: str, data: st.DataObject) -> None:
    prompt = load_prompt(name)
    hostile = st.sampled_from(["{prompt}", "{response}", "{{ 7*7 }}", "$prompt", "${x}", "%s", "\\g<0>"]) | st.text()
    variables = {variable: data.draw(hostile) for variable in prompt.variables}
    places = re.finditer("|".join("{" + variable + "}" for variable in prompt.variables) or "$.", prompt.body)
    expected, at = "", 0
    for place in places:
        expected += prompt.body[at : place.start()] + variables[place[0].strip("{}")]
        at = place.end()
    assert render(prompt, variables) == expected + prompt.body[at:]


def test_the_head_is_what_all_samples_share() -> None:
    prompt = load_prompt("generate_aegis")
    assert prompt.body.startswith(prompt.head)
    assert prompt.head.endswith("Human user:\n")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"budget": "x"}, "missing variables ['trace']"),
        ({"budget": "x", "trace": "y", "z": ""}, "unknown variables ['z']"),
    ],
)
def test_missing_and_unknown_variables_are_named(variables: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        render(load_prompt("efficient"), variables)
    assert said in str(error.value)


def test_an_unknown_prompt_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="generate_aegis"):
        load_prompt("nothing")


def test_a_prompt_whose_front_matter_and_body_differ_is_an_error() -> None:
    with pytest.raises(UsageError, match="declares the variables"):
        prompts._parse("x", "---\nversion: 1\nsource: us\nvariables: [a]\n---\n{b}\n")
