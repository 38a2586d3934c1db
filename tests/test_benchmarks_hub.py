"""Benchmarks from a Hub on loopback, fetched by the real client: the pinned commit, gates, absences, no connection."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.eval.benchmarks.declaration import load_declaration
from tests.benchmark_rows import Row, dyna_row, judged_row, write_task
from tests.conftest import Run
from tests.hub_server.client import online
from tests.hub_server.faults import Fault
from tests.hub_server.server import HubServer

pytest_plugins = ["tests.hub_server.fixture"]
Ask = Callable[..., tuple[int, str, str]]
JUDGED, DYNA = "jailbreakbench_response", "dynaguardrail_finance"
STRANGER_TOKEN = "hf_" + "s" * 34


@pytest.fixture
def ask(run: Run, hub: HubServer, tmp_path: Path) -> Ask:
    """Run `eval benchmarks` against the Hub: (exit status, stdout, stderr)."""

    def command(*arguments: str, **environment: Any) -> tuple[int, str, str]:
        done = run("eval", "benchmarks", *arguments, env=online(hub, tmp_path / "hf", **environment))
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return command


def publish(hub: HubServer, folder: Path, task: str, rows: list[Row], **options: Any) -> str:
    """Put the task's repository on the Hub, under its pinned commit if it has one; the commit's hash."""
    source = load_declaration(task).source
    repo = hub.add_repo(source.repo, folder=write_task(folder, task, rows), **options)
    head = repo.branches["main"]
    if source.revision:  # main has moved on since
        repo.commits[source.revision] = replace(repo.commits[head], oid=source.revision)
        repo.commit("main", {}, "emptied", parent=head)
    return source.revision or head


def test_the_pinned_commit_is_read_not_what_main_names(hub: HubServer, ask: Ask, tmp_path: Path) -> None:
    rows = [judged_row(prompt=f"p{n}", human_majority=n % 3 // 2) for n in range(300)]
    pinned = publish(hub, tmp_path / "up", JUDGED, rows)
    status, out, _ = ask(JUDGED, "--json")
    stated = json.loads(out)
    assert (status, stated["rows"], stated["positives"], stated["revision"]) == (0, 300, 100, pinned)
    assert stated["source"] == "JailbreakBench/JBB-Behaviors/data/judge-comparison.csv"
    assert str(tmp_path) not in out
    assert ask(JUDGED, "--json", HF_HUB_OFFLINE="1")[1] == out  # from the cache


def test_an_unpinned_set_states_the_commit_that_was_read(hub: HubServer, ask: Ask, tmp_path: Path) -> None:
    head = publish(hub, tmp_path / "up", DYNA, [dyna_row("finance"), dyna_row("tax", prompt="q")])
    status, out, err = ask(DYNA)
    assert (status, out) == (2, "")
    assert "2 rows in the file, not 2362" in err
    status, out, _ = ask(DYNA, "--as-they-are", "--json")
    assert (status, json.loads(out)["revision"]) == (0, head)
    assert json.loads(out)["left_out"] == {"other_part": 1}


@pytest.mark.parametrize("token", [STRANGER_TOKEN, ""], ids=["no access", "no login"])
def test_a_gated_set_says_where_to_ask(hub: HubServer, ask: Ask, tmp_path: Path, token: str) -> None:
    publish(hub, tmp_path / "up", DYNA, [dyna_row("finance")], gated="manual")
    hub.tokens[STRANGER_TOKEN] = "stranger"
    status, out, err = ask(DYNA, HF_TOKEN=token)
    assert (status, out) == (2, "")
    assert "dynaguardrail_finance needs access to dynamofl/DynaGuardrail, which is gated" in err
    assert "ask at https://huggingface.co/datasets/dynamofl/DynaGuardrail" in err
    assert STRANGER_TOKEN not in err


def test_a_commit_that_is_gone_is_named(hub: HubServer, ask: Ask, tmp_path: Path) -> None:
    source = load_declaration(JUDGED).source
    publish(hub, tmp_path / "up", JUDGED, [judged_row()])
    del hub.repo(source.repo).commits[source.revision]
    status, _, err = ask(JUDGED)
    assert status == 2
    assert f"data/judge-comparison.csv of {source.repo} at {source.revision} could not be fetched" in err


def test_a_file_that_is_gone_is_named(hub: HubServer, ask: Ask, tmp_path: Path) -> None:
    hub.add_repo("dynamofl/DynaGuardrail")
    status, _, err = ask(DYNA)
    assert status == 2 and "data/train-00000-of-00001.parquet of dynamofl/DynaGuardrail at main could not" in err


def test_a_file_that_never_comes_whole_is_named(hub: HubServer, ask: Ask, tmp_path: Path) -> None:
    publish(hub, tmp_path / "up", JUDGED, [judged_row()])
    hub.plan(Fault("cut_answer", match=r"GET .*judge-comparison\.csv", times=100))
    status, _, err = ask(JUDGED)
    assert status == 2
    assert "data/judge-comparison.csv of JailbreakBench/JBB-Behaviors at" in err
    assert "could not be fetched" in err


def test_without_a_connection_the_fix_is_said(ask: Ask) -> None:
    status, _, err = ask(JUDGED, HF_HUB_OFFLINE="1")
    assert status == 2 and "give a file that you have" in err


def test_a_set_that_is_not_on_the_hub_names_its_address(ask: Ask) -> None:
    status, _, err = ask("harmbench_response")
    assert status == 2 and "curl -LO https://raw.githubusercontent.com/centerforaisafety/HarmBench/" in err
