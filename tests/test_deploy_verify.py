"""`verify nemo`: the real NeMo Guardrails, both of its engines, against hostile outputs on loopback."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from safety_reasoning.deploy.hostile import Gap, Hostile, Rail, outputs, verdict
from safety_reasoning.deploy.hostile_server import HostileServer, case_text
from safety_reasoning.deploy.nemo_folder import copy_for, open_nemo_folder
from safety_reasoning.deploy.nemo_process import run_rails
from safety_reasoning.deploy.nemo_prompts import USER
from safety_reasoning.deploy.nemo_report import as_json, as_text, counts
from safety_reasoning.deploy.nemo_verify import Verified, verify_nemo
from tests.conftest import Run
from tests.deploy_guards import NO_NEMO, SUFFIX, nemo_python, verb, write_guard

PYTHON = nemo_python()
pytestmark = [pytest.mark.skipif(PYTHON is None, reason=NO_NEMO), pytest.mark.timeout(400)]
EITHER = ("IORails", "LLMRails")
FAILURES = {case.name for case in outputs(Rail.INPUT) if not case.is_answer}


def export(folder: Path, *arguments: str | Path) -> Path:
    """A configuration with all three rails."""
    guard = write_guard(folder / "guard", switch=SUFFIX)
    (folder / "instruction").write_text("Only taxes {{ 7*7 }}.\n", encoding="utf-8")
    more = ("--url", "http://127.0.0.1:8000/v1", "--instruction", folder / "instruction", *arguments)
    verb("export", "nemo", "--guard", guard, "--out", folder / "rails", *more)
    return folder / "rails"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Verified:
    """What becomes of everything that is tried on an export."""
    assert PYTHON is not None
    return verify_nemo(export(tmp_path_factory.mktemp("export"), "--api-key-env", "GUARD_KEY"), PYTHON)


def outcomes(found: Verified, rail: Rail, output: str) -> set[str]:
    said = {tried.engine: tried.outcome for tried in found.tried if (tried.rail, tried.output) == (rail, output)}
    assert tuple(sorted(said)) == EITHER
    return set(said.values())


def test_both_engines_take_the_configuration_and_nothing_passes_that_is_not_known_to(found: Verified) -> None:
    assert found.version == "0.24.1"
    assert (found.refused, found.faults, found.unknown) == ({}, (), ())
    assert found.good
    assert all(len(outputs(rail)) >= 20 for rail in Rail)


@pytest.mark.parametrize("rail", list(Rail))
def test_a_plain_verdict_is_followed(rail: Rail, found: Verified) -> None:
    safe, bad = ("on-topic", "off-topic") if rail is Rail.TOPIC else ("harmless", "harmful")
    assert outcomes(found, rail, safe) == {"passes"}
    assert outcomes(found, rail, bad) == {"blocks"}


@pytest.mark.parametrize("rail", list(Rail))
def test_nothing_passes_where_no_completion_comes(rail: Rail, found: Verified) -> None:
    assert len(FAILURES) == 12
    for output in FAILURES:
        assert "passes" not in outcomes(found, rail, output), output


def test_every_known_gap_is_still_there(found: Verified) -> None:
    assert {tried.gap for tried in found.tried if tried.fails_open} == set(Gap)
    closed = {(tried.output, tried.engine) for tried in found.tried if tried.gap is not None and not tried.fails_open}
    assert closed == {(output, "IORails") for output in ("null", "verdict in reasoning", "cut before any text")}


def test_a_server_that_holds_answers_to_the_pattern_leaves_only_answers_in_other_fields(found: Verified) -> None:
    reachable = {(tried.rail, tried.output) for tried in found.tried if tried.fails_open and not tried.excluded}
    elsewhere = ("null", "verdict in reasoning", "verdict in reasoning_content", "tool call", "cut before any text")
    assert reachable == {(Rail.TOPIC, output) for output in elsewhere}


def test_what_is_stopped_without_need_cannot_come_from_such_a_server(found: Verified) -> None:
    stopped = {(tried.rail, tried.output, tried.excluded) for tried in found.tried if tried.false_block}
    both = {(rail, "Markdown", True) for rail in (Rail.INPUT, Rail.OUTPUT)}
    assert stopped == both | {(Rail.INPUT, "JSON", True), (Rail.INPUT, "control character", True)}


def test_the_report_lists_every_fail_open_and_counts_each_once(found: Verified) -> None:
    text = as_text(found)
    for tried in found.tried:
        if tried.fails_open:
            assert f"  {tried.rail.value}: {tried.output} (" in text
    document = json.loads(json.dumps(as_json(found)))
    assert document["counts"] == counts(found)
    opened = {(one["rail"], one["output"]) for one in document["tried"] if one["outcome"] == "passes"}
    assert counts(found)["fail_open"] == len(opened) - sum(one["may_pass"] for one in _once(document["tried"], opened))


def _once(tried: list[dict[str, Any]], which: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """One entry of each output, whatever the engine."""
    return list({key: one for one in tried if (key := (one["rail"], one["output"])) in which}.values())


def test_a_missing_a_misspelt_parser_and_a_changed_text_are_found_and_the_exit_code_says_so(
    run: Run, tmp_path: Path
) -> None:
    rails = export(tmp_path, "--no-topic")
    prompts = yaml.safe_load((rails / "prompts.yml").read_text(encoding="utf-8"))
    asked, answered = prompts["prompts"]
    del asked["output_parser"]
    answered["output_parser"] += "y"
    asked["messages"][0]["content"] = asked["messages"][0]["content"].replace(USER, "{{ user_input | lower }}")
    (rails / "prompts.yml").write_text(yaml.safe_dump(prompts), encoding="utf-8")
    done = run("verify", "nemo", rails, "--python", str(PYTHON), "--json", timeout=300)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    passed = {(one["rail"], one["output"]) for one in document["tried"] if one["outcome"] == "passes"}
    assert {("input", "harmful"), ("output", "harmful")} <= passed
    assert document["counts"]["unknown"] > 20
    assert [fault.partition(":")[0] for fault in document["faults"]] == [
        "content safety check input",
        "content safety check output",
        "input",
    ]


CONFIG_PY = """
def init(app):
    app.register_output_parser(lambda text: [False], "strict")
"""


def test_iorails_does_not_see_a_parser_of_a_config_py(tmp_path: Path) -> None:
    rails = export(tmp_path, "--no-topic")
    prompts = yaml.safe_load((rails / "prompts.yml").read_text(encoding="utf-8"))
    prompts["prompts"][0]["output_parser"] = "strict"
    (rails / "prompts.yml").write_text(yaml.safe_dump(prompts), encoding="utf-8")
    (rails / "config.py").write_text(CONFIG_PY, encoding="utf-8")
    outcomes, _ = asyncio.run(through(rails, tmp_path, positive=True))
    assert outcomes == {"IORails": "passes", "LLMRails": "blocks"}


def test_each_rail_sends_its_limit_its_pattern_its_mode_and_the_key(tmp_path: Path) -> None:
    rails = export(tmp_path, "--api-key-env", "GUARD_KEY")
    outcomes, requests = asyncio.run(through(rails, tmp_path, positive=False))
    assert outcomes == {"IORails": "passes", "LLMRails": "passes"}
    assert [body["model"] for _, body, _ in requests] == ["content_safety", "topic_control"] * 2
    for _, body, key in requests:
        safety = body["model"] == "content_safety"
        assert key == "Bearer verify-nemo"
        assert body["max_tokens"] == (1024 if safety else 16)
        assert body["chat_template_kwargs"] == {"enable_thinking": safety}
        assert set(body["structured_outputs"]) == ({"regex"} if safety else {"choice"})
        assert "Only taxes {{ 7*7 }}." in body["messages"][0]["content"] or safety
        assert len(body["messages"]) == (1 if safety else 2)


async def through(
    rails: Path, scratch: Path, *, positive: bool
) -> tuple[dict[str, str], list[tuple[int, dict[str, Any], str]]]:
    """What becomes of a plain verdict on the input rail, by engine, and the requests that were made."""
    assert PYTHON is not None
    folder = open_nemo_folder(rails)
    case = Hostile(name="plain", content=verdict(Rail.INPUT, positive=positive))
    models = {model: rail for rail, model in folder.rails.items()}
    server = HostileServer({0: (folder.rails[Rail.INPUT], Rail.INPUT, case)}, models)
    url = await server.start()
    try:
        copy = copy_for(folder, scratch / "copy", url=url, timeout_s=60)
        job = {"number": 0, "rail": "input", "messages": [{"role": "user", "content": case_text(0)}]}
        found = await run_rails(PYTHON, [{"folder": str(copy), "jobs": [job]}], folder.key_variables)
    finally:
        await server.stop()
    return {name: engine["outcomes"]["0"] for name, engine in found["engines"].items()}, server.requests
