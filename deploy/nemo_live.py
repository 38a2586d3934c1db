"""Asks the server behind a configuration whether it does what the configuration relies on."""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from safety_reasoning.deploy.answer_format import can_be_sent
from safety_reasoning.deploy.hostile import Rail
from safety_reasoning.deploy.nemo_config import server_url
from safety_reasoning.deploy.nemo_folder import NemoFolder
from safety_reasoning.deploy.nemo_prompts import USER
from safety_reasoning.errors import UsageError

_ODD = ("k7q", "z3w")
"""Words that no model answers by itself."""
_OWN = ("base_url", "timeout", "api_key", "default_headers")
"""Parameters that NeMo keeps for itself."""
_LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Relied:
    """Something that the configuration relies on."""

    what: str
    holds: bool
    got: str
    """What the server did, in a few words; never its text."""


@dataclass(frozen=True, slots=True)
class _Probe:
    what: str
    rail: Rail
    body: dict[str, Any]
    choices: tuple[str, ...] = ()
    """What the content may be; () for what the rail's own pattern allows."""
    cut: bool = False


def verify_server(folder: NemoFolder, url: str) -> list[Relied]:
    """What the server at the address does with the requests of the configuration's rails.

    Raises: UsageError if it cannot be reached, or does not answer.
    """
    return asyncio.run(_ask_all(folder, server_url(url)))


async def _ask_all(folder: NemoFolder, url: str) -> list[Relied]:
    timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
    async with aiohttp.ClientSession(timeout=timeout, headers=_key(folder)) as session:
        return [_held(folder, probe, await _choice(session, url, probe.body)) for probe in _probes(folder)]


def _probes(folder: NemoFolder) -> Iterator[_Probe]:
    for rail in folder.rails:
        body = _body(folder, rail)
        odd = body | {"structured_outputs": {"choice": list(_ODD)}, "max_tokens": 64}
        odd["chat_template_kwargs"] = {"enable_thinking": False}
        yield _Probe(f"{rail.value}: answers are held to a pattern", rail, odd, _ODD)
        yield _Probe(f"{rail.value}: an answer is a verdict, in the content", rail, body)
        if rail is not Rail.TOPIC and (body.get("chat_template_kwargs") or {}).get("enable_thinking"):
            yield _Probe(
                f"{rail.value}: a trace that is cut off is no verdict", rail, body | {"max_tokens": 4}, cut=True
            )


def _body(folder: NemoFolder, rail: Rail) -> dict[str, Any]:
    kind = folder.rails[rail]
    model = next(model for model in folder.models if model.get("type") == kind)
    given = {name: value for name, value in folder.parameters(kind).items() if name not in _OWN}
    prompt = folder.prompt(rail)
    question = {"role": "user", "content": "What is bread made of?"}
    if rail is Rail.TOPIC:
        messages = [{"role": "system", "content": prompt.get("content", "")}, question]
    else:
        text = str((prompt.get("messages") or [question])[0].get("content", ""))
        messages = [{"role": "user", "content": text.replace(USER, "What is bread made of?")}]
    fixed = {"model": model.get("model"), "messages": messages, "temperature": 0}
    return given | fixed | {"max_tokens": prompt.get("max_tokens") or 1024}


async def _choice(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        async with session.post(f"{url}/chat/completions", json=body) as response:
            reply = json.loads(await response.text())
            if response.status != 200:
                raise UsageError(f"{url} answers with HTTP {response.status}", why=_without_key(session, str(reply)))
            choice: dict[str, Any] = reply["choices"][0]
            if not isinstance(choice["message"], dict):
                raise UsageError(f"{url} answers with no chat completion", why="its message is no object")
            return choice
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UsageError(f"{url} does not answer", why=f"{type(error).__name__}: {error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{url} answers with no chat completion", why=type(error).__name__) from error


def _without_key(session: aiohttp.ClientSession, said: str) -> str:
    """The beginning of what a server says; some quote the key that they refuse."""
    key = session.headers.get("Authorization", "").removeprefix("Bearer ")
    return (said.replace(key, "…") if key else said)[:300]


def _held(folder: NemoFolder, probe: _Probe, choice: dict[str, Any]) -> Relied:
    message = choice["message"]
    content = message.get("content")
    if not isinstance(content, str):
        apart = any(isinstance(message.get(name), str) for name in ("reasoning", "reasoning_content"))
        end = ", met max_tokens" if choice.get("finish_reason") == "length" else ""
        return Relied(probe.what, probe.cut, f"no content{', text in another field' if apart else ''}{end}")
    pattern = folder.parameters(folder.rails[probe.rail]).get("structured_outputs") or {}
    if probe.choices:
        holds = content in probe.choices
    elif "choice" in pattern:
        holds = content in pattern["choice"]
    else:
        holds = can_be_sent(content, str(pattern.get("regex", "")), cut=probe.cut)
    return Relied(probe.what, holds, f"{len(content)} characters of content, {'as' if holds else 'not as'} wanted")


def _key(folder: NemoFolder) -> dict[str, str]:
    keys = [os.environ[name] for name in folder.key_variables if os.environ.get(name)]
    return {"Authorization": f"Bearer {keys[0]}"} if keys else {}
