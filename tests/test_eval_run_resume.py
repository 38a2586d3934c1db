"""Whatever stops a run of a guard, the next one goes on: nothing lost, next to nothing asked twice, the same bytes."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.store import view_store
from safety_reasoning.errors import Stopped, UsageError
from safety_reasoning.eval.runs.folder import ROWS, STATED
from tests.conftest import LiveTeacher, Run, serving
from tests.eval_runs import done, write_prompts, write_recipe

ITEMS, CONCURRENCY = 60, 4


def recipe(folder: Path, url: str, **engine: Any) -> Path:
    prompts = write_prompts(folder / "p.jsonl", ITEMS)
    return write_recipe(folder, url, prompts=prompts, engine={"concurrency": CONCURRENCY} | engine)


def kept(folder: Path) -> int:
    with view_store(folder / "run.sqlite") as store:
        return len(store)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "run" / name).read_bytes() for name in (ROWS, STATED)}


def latency_apart(folder: Path) -> Any:
    import polars as pl

    return pl.read_parquet(folder / "run" / ROWS).drop("latency_s")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path, how: signal.Signals) -> None:
    with serving() as steady:
        done(recipe(tmp_path / "whole", steady.url))
    with serving(delay_s=0.05) as live:
        path = recipe(tmp_path, live.url)
        process = subprocess.Popen(
            [sys.executable, "-m", "safety_reasoning.cli", "eval", "run", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while live.server.calls < 12 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
        assert process.returncode == (-9 if how is signal.SIGKILL else 130), said
        assert "Traceback" not in said
        assert not (tmp_path / "run").exists()
        assert 0 < kept(tmp_path) < ITEMS
        _, ledger = done(path)
        assert ledger.all().before + ledger.all().replies == ITEMS
        assert live.server.calls <= ITEMS + CONCURRENCY
    assert latency_apart(tmp_path).equals(latency_apart(tmp_path / "whole"))


def test_a_server_that_dies_half_way_loses_nothing(tmp_path: Path, run: Run) -> None:
    with serving(delay_s=0.02) as first:
        path = recipe(tmp_path, first.url, attempts=1)
        process = subprocess.Popen(
            [sys.executable, "-m", "safety_reasoning.cli", "eval", "run", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while first.server.calls < 20 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
    _, said = process.communicate(timeout=60)  # the server is gone
    assert process.returncode == 130, said
    assert "replies are kept" in said
    assert "Traceback" not in said
    before = kept(tmp_path)
    assert before > 0
    with serving() as second:
        again = run("eval", "run", recipe(tmp_path, second.url))
        assert again.returncode == 0, again.stderr
        assert second.server.calls == ITEMS - before
    assert f"{ITEMS} of {ITEMS} rows have a verdict" in again.stdout
    assert "eval score" in again.stdout


def test_faults_that_pass_leave_no_trace_in_the_rows(tmp_path: Path) -> None:
    with serving() as steady:
        done(recipe(tmp_path / "whole", steady.url))
    with serving(busy=0.1, retry_after_s=0.01, failing=0.1, reset=0.1, cut=0.1, garbage=0.1) as live:
        done(recipe(tmp_path, live.url))
        assert live.server.calls > ITEMS
    assert latency_apart(tmp_path).equals(latency_apart(tmp_path / "whole"))


def test_a_server_that_nobody_answers_at_stops_the_run_and_names_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARD_KEY", "sk-secret")
    path = recipe(tmp_path, "http://127.0.0.1:9/v1", attempts=1, api_key_env="GUARD_KEY")
    with pytest.raises(Stopped, match="calls are left") as stop:
        done(path)
    assert "sk-secret" not in str(stop.value)
    assert not (tmp_path / "run").exists()


def test_a_key_that_is_refused_stops_the_run_at_once(tmp_path: Path) -> None:
    with serving(api_key="right") as live:
        with pytest.raises(UsageError, match="refuses the key"):
            done(recipe(tmp_path, live.url))
        assert live.server.calls <= CONCURRENCY


def test_a_finished_run_starts_no_engine(tmp_path: Path, live: LiveTeacher) -> None:
    path = recipe(tmp_path, live.url)
    done(path)
    before = bytes_of(tmp_path)
    calls = live.server.calls
    done(path)
    assert (live.server.calls, bytes_of(tmp_path)) == (calls, before)
