"""The `openai` engine against a real server on loopback that misbehaves in every way that real ones do."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.calls import Reply, Request, Status
from safety_reasoning.builders.questions import full_call
from safety_reasoning.builders.recipe import TeacherRecipe
from safety_reasoning.builders.sources.aegis import to_sample
from safety_reasoning.builders.store import open_store
from safety_reasoning.builders.teachers.openai import OpenAITeacher
from safety_reasoning.builders.teachers.protocol import CallUnfinished, TeacherStopped
from safety_reasoning.errors import UsageError
from tests.conftest import LiveTeacher, Run, aegis_row, openai_teacher, serving, write_aegis, write_recipe

Start = Callable[..., LiveTeacher]
DEAD = "http://127.0.0.1:9/v1"


def recipe(*urls: str, **changes: Any) -> TeacherRecipe:
    return TeacherRecipe.model_validate(openai_teacher("a", urls[0], base_urls=list(urls), **changes))


def ask(teacher: TeacherRecipe, *prompts: str) -> list[Reply]:
    """Every prompt asked at once."""

    async def all_of_them() -> list[Reply]:
        live = OpenAITeacher(teacher)
        try:
            return await asyncio.gather(*(live.ask(request(teacher, prompt)) for prompt in prompts))
        finally:
            await live.close()

    return asyncio.run(all_of_them())


def request(teacher: TeacherRecipe, prompt: str) -> Request:
    call = full_call(to_sample(aegis_row(prompt=prompt), {}), teacher)
    return call.request(call.key)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "think"])
def test_reasoning_is_found_wherever_the_server_puts_it(teacher: Start, field: str) -> None:
    (reply,) = ask(recipe(teacher(field=field).url), "x")
    assert reply.status is Status.OK
    assert reply.reasoning is not None
    assert len(reply.reasoning.split()) > 30
    assert reply.answer == "Prompt harm: unharmful\n\nResponse harm: None"
    assert (reply.finish_reason, reply.model) == ("stop", "scripted-a")
    assert reply.completion_tokens > 40


@pytest.mark.parametrize(
    ("odd", "status"),
    [
        ("no_reasoning", Status.EMPTY_REASONING),
        ("cut_off", Status.TRUNCATED),
        ("error_body", Status.ERROR_BODY),
        ("no_answer", Status.EMPTY_ANSWER),
    ],
)
def test_an_answer_that_is_not_whole_has_its_status(teacher: Start, odd: str, status: Status) -> None:
    (reply,) = ask(recipe(teacher(odd=odd).url, attempts=2), "x")
    assert reply.status is status


@pytest.mark.parametrize("fault", ["failing", "reset", "cut", "garbage"])
def test_a_passing_fault_is_retried_until_there_is_an_answer(teacher: Start, fault: str) -> None:
    live = teacher(**{fault: 0.5})
    replies = ask(recipe(live.url, attempts=12), *(f"prompt {n}" for n in range(12)))
    assert {reply.status for reply in replies} == {Status.OK}
    assert live.server.calls > 12
    assert sorted(live.server.answered.values()) == [1] * 12


def test_a_busy_server_is_asked_again_when_it_says(teacher: Start) -> None:
    live = teacher(busy=0.5, retry_after_s=0.01)
    replies = ask(recipe(live.url, attempts=20), *(f"prompt {n}" for n in range(20)))
    assert {reply.status for reply in replies} == {Status.OK}
    assert live.server.calls > 20


def test_retry_after_is_a_lower_bound_that_the_own_back_off_would_not_keep(teacher: Start) -> None:
    live = teacher(busy=1.0, retry_after_s=1.2)
    started = time.monotonic()
    with pytest.raises(CallUnfinished, match="HTTP 429"):
        ask(recipe(live.url, attempts=2), "x")
    assert live.server.calls == 2
    assert time.monotonic() - started >= 1.2  # the first back-off of its own ends after at most 0.5 s


def body(message: object = None, **changes: Any) -> str:
    """A whole answer, changed."""
    said = {"role": "assistant", "content": "Prompt harm: unharmful", "reasoning": "Because."}
    choice = {"index": 0, "message": message or said, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    return json.dumps({"model": "m", "choices": [choice], "usage": usage} | changes)


NO_ANSWER = {
    "null": "null",
    "list": "[]",
    "text": '"x"',
    "empty": "{}",
    "choices null": body(choices=None),
    "choices empty": body(choices=[]),
    "choices an object": body(choices={"a": 1}),
    "choices a text": body(choices="abc"),
    "choice null": body(choices=[None]),
    "message null": body(choices=[{"message": None}]),
    "message a text": body(message="x"),
    "content a list": body(message={"content": [{"type": "text", "text": "x"}]}),
    "content a number": body(message={"content": 5}),
}


@pytest.mark.parametrize("text", NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_a_body_of_another_shape_is_no_answer_and_no_crash(teacher: Start, text: str) -> None:
    live = teacher(body=text)
    (reply,) = ask(recipe(live.url, attempts=1), "x")
    assert reply.status is Status.ERROR_BODY
    assert reply.error


def test_json_nested_without_end_leaves_the_call_unfinished(teacher: Start) -> None:
    with pytest.raises(CallUnfinished, match="the body is no JSON"):
        ask(recipe(teacher(body="[" * 100_000).url, attempts=1), "x")


ODD_BESIDE = {
    "no usage": body(usage=None),
    "usage empty": body(usage={}),
    "usage a text": body(usage="x"),
    "counts null": body(usage={"prompt_tokens": None, "completion_tokens": None}),
    "counts of other types": body(usage={"prompt_tokens": "many", "completion_tokens": {}}),
    "counts too large": body(usage={"prompt_tokens": 2**70, "completion_tokens": -1}),
    "model an object": body(model={"a": 1}),
    "model a lone surrogate": body(model="\ud800"),
    "finish a number": body(choices=[{"message": json.loads(body())["choices"][0]["message"], "finish_reason": 7}]),
    "no finish": body(choices=[{"message": json.loads(body())["choices"][0]["message"]}]),
}


@pytest.mark.parametrize("text", ODD_BESIDE.values(), ids=ODD_BESIDE.keys())
def test_what_is_odd_beside_the_answer_does_not_cost_it(teacher: Start, tmp_path: Path, text: str) -> None:
    asked = recipe(teacher(body=text).url, attempts=1)
    (reply,) = ask(asked, "x")
    assert (reply.status, reply.reasoning, reply.answer) == (Status.OK, "Because.", "Prompt harm: unharmful")
    with open_store(tmp_path / "s.sqlite") as store:
        store.append([reply])
        assert store.get(reply.key) == reply


@pytest.mark.parametrize("fault", ["failing", "reset", "cut", "garbage", "busy"])
def test_a_lasting_fault_leaves_the_call_unfinished(teacher: Start, fault: str) -> None:
    live = teacher(**{fault: 1.0}, retry_after_s=0.01)
    with pytest.raises(CallUnfinished):
        ask(recipe(live.url, attempts=2), "x")
    assert live.server.calls == 2


def test_a_server_that_is_not_there_leaves_the_call_unfinished() -> None:
    with pytest.raises(CallUnfinished, match="no connection"):
        ask(recipe(DEAD, attempts=2), "x")


def test_a_prompt_that_the_server_rejects_is_kept_as_rejected_and_asked_once(teacher: Start) -> None:
    live = teacher(reject="poison")
    good, bad = ask(recipe(live.url), "good", "poison")
    assert (good.status, bad.status) == (Status.OK, Status.REJECTED)
    assert bad.error.startswith("HTTP 400")
    assert live.server.calls == 2


def test_a_key_that_the_server_refuses_stops_the_teacher_without_showing_it(
    teacher: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-wrong-1234")
    live = teacher(api_key="sk-right")
    with pytest.raises(TeacherStopped) as error:
        ask(recipe(live.url, api_key_env="MY_KEY"), "x")
    assert "MY_KEY" in str(error.value)
    assert "sk-" not in str(error.value)
    assert live.server.calls == 1


def test_a_model_that_the_server_does_not_know_stops_the_teacher(teacher: Start) -> None:
    with pytest.raises(TeacherStopped, match="scripted-a"):
        ask(recipe(teacher(models=("other",)).url), "x")


def test_a_key_that_is_not_set_is_an_error_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UsageError, match="MY_KEY is not set"):
        OpenAITeacher(recipe(DEAD, api_key_env="MY_KEY"))


def test_several_servers_share_the_calls(teacher: Start) -> None:
    lives = [teacher(delay_s=0.05), teacher(delay_s=0.05)]
    ask(recipe(*(live.url for live in lives)), *(f"prompt {n}" for n in range(20)))
    assert [live.server.calls for live in lives] == [10, 10]


def test_a_server_that_is_down_is_passed_over(teacher: Start) -> None:
    live = teacher()
    replies = ask(recipe(DEAD, live.url, attempts=4), *(f"prompt {n}" for n in range(10)))
    assert {reply.status for reply in replies} == {Status.OK}


def build_recipe(folder: Path, url: str, rows: int = 12, **changes: Any) -> Path:
    aegis = write_aegis(folder / "aegis", [aegis_row(prompt=f"prompt {n}") for n in range(rows)])
    return write_recipe(
        folder / "recipe.toml",
        sources=[{"kind": "aegis", "path": aegis}],
        teachers=[openai_teacher("a", url, **changes)],
    )


def test_a_run_without_a_server_says_what_is_left_and_a_later_one_ends_it(
    tmp_path: Path, run: Run, teacher: Start
) -> None:
    stopped = run("build", build_recipe(tmp_path, DEAD, attempts=1))
    assert stopped.returncode == 130, stopped.stderr
    assert "calls are unfinished (12 × a: no connection); 0 replies are kept, 24 calls are left" in stopped.stderr
    assert "run again" in stopped.stderr
    assert not (tmp_path / "release").exists()
    live = teacher()
    done = run("build", build_recipe(tmp_path, live.url))
    assert done.returncode == 0, done.stderr
    assert live.server.calls == 24


def test_a_server_that_goes_away_half_way_costs_no_answer(tmp_path: Path) -> None:
    with serving(delay_s=0.02) as first:
        path = build_recipe(tmp_path, first.url, rows=60, attempts=1, concurrency=4)
        process = subprocess.Popen(
            [sys.executable, "-m", "safety_reasoning.cli", "build", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while len(first.server.answered) < 25 and time.monotonic() < deadline:
            time.sleep(0.005)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "run again" in said
    assert "Traceback" not in said
    with open_store(tmp_path / "store.sqlite") as store:
        kept = len(store)
    assert 25 - 4 <= kept <= len(first.server.answered)
    with serving() as second:
        path = build_recipe(tmp_path, second.url, rows=60)
        done = subprocess.run([sys.executable, "-m", "safety_reasoning.cli", "build", str(path)], check=False)
        assert done.returncode == 0
        assert second.server.calls == 120 - kept


def test_one_teacher_that_is_refused_does_not_keep_the_others_from_their_work(
    tmp_path: Path, run: Run, teacher: Start
) -> None:
    good, bad = teacher(), teacher(models=("other",))
    aegis = write_aegis(tmp_path / "aegis", [aegis_row(prompt=f"prompt {n}") for n in range(12)])
    recipe = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": aegis}],
        teachers=[openai_teacher("a", good.url), openai_teacher("b", bad.url, concurrency=2)],
    )
    done = run("build", recipe)
    assert done.returncode == 2
    assert "teacher b: the server knows no model 'scripted-b'" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(good.server.answered) == 24  # full and efficient traces
    assert bad.server.calls <= 2


def test_rejected_prompts_are_counted_in_the_manifest_and_their_samples_left_out(
    tmp_path: Path, run: Run, teacher: Start
) -> None:
    done = run("build", build_recipe(tmp_path, teacher(reject="prompt 3").url), "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)["manifest"]
    assert manifest["dropped_traces"] == [{"teacher": "a", "step": "full", "reason": "rejected", "traces": 1}]
    assert manifest["left_out"] == [{"config": "content_safety", "reason": "no_usable_trace", "rows": 1}]


def test_the_key_is_nowhere_but_in_the_request(tmp_path: Path, run: Run, teacher: Start) -> None:
    key = "sk-very-secret-987"
    live = teacher(api_key=key)
    recipe = build_recipe(tmp_path, live.url, api_key_env="MY_KEY")
    done = run("build", recipe, env={"MY_KEY": key})
    assert done.returncode == 0, done.stderr
    assert key not in done.stdout + done.stderr
    with sqlite3.connect(tmp_path / "store.sqlite") as db:
        assert db.execute("SELECT count(*) FROM replies").fetchone() == (24,)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path


def test_both_verdict_settings_ask_for_what_they_need(tmp_path: Path, run: Run, teacher: Start) -> None:
    live = teacher()
    path = build_recipe(tmp_path, live.url)
    path.write_text(
        path.read_text(encoding="utf-8").replace("[release]", '[release]\nverdict = "blind"'), encoding="utf-8"
    )
    done = run("build", path, "--json")
    assert done.returncode == 2  # the scripted teacher calls every blind prompt harmful: nothing agrees
    assert "nothing is left to release" in done.stderr
    assert live.server.calls == 36
