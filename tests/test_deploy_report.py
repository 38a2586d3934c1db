"""What `verify nemo` says: what is not known to pass, what refuses the configuration, what another version means."""

from typing import Any

import pytest

from safety_reasoning.deploy.hostile import Gap, Hostile, Rail, outputs
from safety_reasoning.deploy.nemo_report import WHY, as_text, counts
from safety_reasoning.deploy.nemo_verify import Tried, Verified, may_pass


def tried(**changes: Any) -> Tried:
    fields: dict[str, Any] = {"rail": Rail.INPUT, "output": "odd", "engine": "LLMRails", "outcome": "passes"}
    return Tried(**fields | {"may_pass": False, "gap": None, "excluded": False} | changes)


def verified(*found: Tried, **changes: Any) -> Verified:
    fields: dict[str, Any] = {"version": "0.24.1", "tried": found, "refused": {}, "faults": ()}
    return Verified(**fields | changes)


def test_what_passes_unknown_is_listed_and_is_not_good() -> None:
    found = verified(tried(), tried(engine="IORails"), tried(output="other", gap=Gap.FIRST_VERDICT, excluded=True))
    assert not found.good
    assert counts(found) == {"fail_open": 2, "unknown": 1, "reachable": 1, "false_block": 0}
    text = as_text(found)
    assert "fails open, and is not known to:\n  input: odd (LLMRails, IORails); the answer pattern" in text
    assert f"known as first_verdict: {WHY[Gap.FIRST_VERDICT]}\n  input: other (LLMRails)\n" in text


@pytest.mark.parametrize(
    ("found", "good"),
    [
        (verified(tried(outcome="blocks")), True),
        (verified(tried(outcome="raises")), True),
        (verified(tried(may_pass=True)), True),
        (verified(tried(gap=Gap.NOT_EXACT)), True),
        (verified(tried(outcome="blocks"), faults=("a fault",)), False),
        (verified(refused={"LLMRails": "why"}), False),
    ],
    ids=["blocks", "raises", "may pass", "known", "fault", "nothing was tried"],
)
def test_what_is_good(found: Verified, good: bool) -> None:
    assert found.good is good


def test_an_engine_that_refuses_and_another_version_are_said() -> None:
    text = as_text(verified(tried(outcome="blocks"), version="0.99", refused={"IORails": "a flow"}, faults=("a key",)))
    assert "IORails does not take the configuration: a flow" in text
    assert "fault: a key" in text
    assert "found out with 0.24.1" in text


def test_names_of_outputs_are_unique_and_each_known_gap_is_explained() -> None:
    for rail in Rail:
        names = [case.name for case in outputs(rail)]
        assert len(names) == len(set(names))
    assert set(WHY) == set(Gap)


@pytest.mark.parametrize("rail", list(Rail))
def test_no_known_gap_is_a_plain_verdict(rail: Rail) -> None:
    assert not any(may_pass(rail, case) for case in outputs(rail) if case.gap is not None)


def test_what_is_no_text_may_not_pass() -> None:
    assert not may_pass(Rail.TOPIC, Hostile(name="list", content=["on-topic"]))
    assert not may_pass(Rail.TOPIC, Hostile(name="status", content="on-topic", status=500))
