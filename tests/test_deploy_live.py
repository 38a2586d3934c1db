"""`verify nemo --url`: whether a server does what a configuration relies on. Nothing here needs NeMo."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from safety_reasoning.deploy.nemo_folder import open_nemo_folder
from safety_reasoning.deploy.nemo_live import verify_server
from safety_reasoning.deploy.nemo_process import nemo_python
from safety_reasoning.errors import UsageError
from tests.deploy_guards import verb

TRACE, ANSWER = "It asks for bread", "Prompt harm: unharmful\n\nResponse harm: None"
QUOTES = "<think>\nIt is Prompt harm: unharmful, I"


def message(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a server of that kind answers: `vllm` as `export vllm` serves it, and four that differ in one thing."""
    pattern, thinks = body["structured_outputs"], body["chat_template_kwargs"]["enable_thinking"]
    if kind == "free":
        return {"content": "Sure. Prompt harm: unharmful"}
    if "choice" in pattern:
        apart = kind == "all apart"
        return {
            "content": None if apart else pattern["choice"][0],
            "reasoning": pattern["choice"][0] if apart else None,
        }
    if body["max_tokens"] < 8:
        return {"content": QUOTES if kind == "free traces" else None, "reasoning": TRACE}
    if not thinks:
        return {"content": ANSWER}
    if kind == "no parser":
        return {"content": f"<think>\n{TRACE}\n</think>\n\n{ANSWER}"}
    return {"content": None if kind == "all apart" else f"\n\n{ANSWER}", "reasoning": TRACE}


@contextmanager
def served(kind: str, key: str = "") -> Iterator[str]:
    """The address of such a server on loopback; other keys get 401."""
    loop = asyncio.new_event_loop()

    async def complete(request: web.Request) -> web.Response:
        if key and request.headers.get("Authorization") != f"Bearer {key}":
            quoted = request.headers.get("Authorization", "")
            return web.json_response({"error": {"message": f"Incorrect key: {quoted}"}}, status=401)
        if kind == "no JSON":
            return web.Response(text="<html>")
        if kind == "error in the body":
            return web.json_response({"error": {"message": "loading"}})
        return web.json_response({"choices": [{"message": message(kind, await request.json())}]})

    async def start() -> tuple[web.AppRunner, str]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", complete)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner, url = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def rails(tmp_path: Path) -> Path:
    (tmp_path / "instruction").write_text("Only taxes.", encoding="utf-8")
    more = ("--instruction", tmp_path / "instruction", "--api-key-env", "GUARD_KEY")
    verb("export", "nemo", "--guard", "g", "--url", "http://127.0.0.1:1", "--out", tmp_path / "rails", *more)
    return tmp_path / "rails"


def broken(rails: Path, kind: str) -> list[str]:
    """What does not hold."""
    with served(kind) as url:
        return [relied.what for relied in verify_server(open_nemo_folder(rails), url) if not relied.holds]


PATTERN, VERDICT = "answers are held to a pattern", "an answer is a verdict, in the content"
CUT = "a trace that is cut off is no verdict"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vllm", []),
        ("no parser", []),
        ("free", [f"{rail}: {what}" for rail in ("input", "output") for what in (PATTERN, VERDICT, CUT)]),
        ("free traces", [f"input: {CUT}", f"output: {CUT}"]),
        ("all apart", [f"{rail}: {what}" for rail in ("input", "output") for what in (PATTERN, VERDICT)]),
    ],
)
def test_what_a_server_does_not_do_is_named(kind: str, expected: list[str], rails: Path) -> None:
    topic = [f"topic: {PATTERN}", f"topic: {VERDICT}"] if kind in ("free", "all apart") else []
    assert broken(rails, kind) == [*expected, *topic]


@pytest.mark.parametrize("kind", ["no JSON", "error in the body"])
def test_a_server_that_gives_no_completion_is_said_to(kind: str, rails: Path) -> None:
    with pytest.raises(UsageError, match="no chat completion"):
        broken(rails, kind)


def test_a_server_that_is_not_there_is_said_not_to_answer(rails: Path) -> None:
    with pytest.raises(UsageError, match="does not answer"):
        verify_server(open_nemo_folder(rails), "http://127.0.0.1:1")


def test_the_key_goes_to_the_server_and_into_no_error(rails: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = open_nemo_folder(rails)
    with served("vllm", key="sk-right") as url:
        monkeypatch.setenv("GUARD_KEY", "sk-right")
        assert all(relied.holds for relied in verify_server(folder, url))
        monkeypatch.setenv("GUARD_KEY", "sk-wrong")
        with pytest.raises(UsageError, match="HTTP 401") as refused:
            verify_server(folder, url)
    assert "sk-" not in str(refused.value)


def test_an_environment_without_nemo_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)cannot be run.*pip install nemoguardrails==0\.24\.1"):
        nemo_python(tmp_path / "python")
    empty = tmp_path / "empty"
    empty.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    empty.chmod(0o755)
    with pytest.raises(UsageError, match=r"(?s)has no nemoguardrails.*pip install nemoguardrails==0\.24\.1"):
        nemo_python(empty)
