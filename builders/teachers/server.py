"""A scripted teacher that speaks the completions protocols on loopback, for dry runs and tests.

It answers with the label that the prompt tells it, so that a whole recipe can be tried without a model or a
bill; `wrong` makes a share of the verdicts differ. Faults are injected by share, each decided by a hash of the
prompt and the number of times it was asked, so that a run can be repeated.
"""

import asyncio
import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import regex
from aiohttp import web

_HARM = regex.compile(r"Prompt harm label: (\w+)\nResponse harm label: (\w+)(?:\nResponse refusal label: (\w+))?")
_TOPIC = regex.compile(r"Topic label: (on-topic|off-topic)")
_TOKEN = regex.compile(r"\s*(?:o(?:n|ff)-topic|\w+|[^\w\s]|$)")
_FLIPPED = {"harmful": "unharmful", "unharmful": "harmful", "on-topic": "off-topic", "off-topic": "on-topic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How the scripted teacher behaves. Shares are in [0, 1]."""

    delay_s: float = 0.0
    words: int = 40
    """Length of a full trace."""
    wrong: float = 0.0
    """Share of prompts that get the other verdict."""
    found: float = 0.0
    """Share of traces in which it finds the rubric's first fault when it is asked as a judge."""
    field: str = "reasoning"
    """Where the trace goes: `reasoning`, `reasoning_content` or `think` (tags in the content)."""
    busy: float = 0.0
    """429 with Retry-After."""
    retry_after_s: float = 1.0
    failing: float = 0.0
    """500."""
    reset: float = 0.0
    """The connection is closed before the reply."""
    cut: float = 0.0
    """The body ends half-way."""
    garbage: float = 0.0
    """200 with a body that is no JSON."""
    api_key: str = ""
    """Other keys get 401."""
    models: tuple[str, ...] = ()
    """Other models get 404; () serves any."""
    reject: str = ""
    """Prompts that hold this text get 400."""
    odd: Literal["", "no_reasoning", "cut_off", "error_body", "no_answer"] = ""
    """What every answer is instead of whole: without reasoning, ended by the token limit, HTTP 200 with an error
    body, or null content beside a reasoning."""
    body: str = ""
    """The body of every answer, as it stands."""


@dataclass(slots=True)
class TeacherServer:
    """The server; `calls` counts the requests it saw, `answered` those it answered whole."""

    script: Script = field(default_factory=Script)
    calls: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    """Whole answers by hash of model and prompt."""
    _asked: Counter[str] = field(default_factory=Counter)
    _runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> str:
        """Listen on 127.0.0.1; the base URL, up to and with /v1."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def stop(self) -> None:
        """Stop listening; calls under way are broken off."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": m, "object": "model"} for m in self.script.models]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        script = self.script
        body: dict[str, Any] = await request.json()
        if script.api_key and request.headers.get("Authorization") != f"Bearer {script.api_key}":
            return _error(401, "Incorrect API key provided")
        if script.models and body["model"] not in script.models:
            return _error(404, "The model does not exist")
        text = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        if script.reject and script.reject in text:
            return _error(400, "This prompt is not accepted")
        prompt = hashlib.sha256(f"{body['model']}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
        self._asked[prompt] += 1
        if script.delay_s:
            await asyncio.sleep(script.delay_s)
        fault = self._fault(f"{prompt} {self._asked[prompt]}")
        if fault is not None:
            return await self._fail(request, fault)
        self.answered[prompt] += 1
        if script.body:
            return web.Response(text=script.body, content_type="application/json")
        if script.odd == "error_body":
            return web.json_response({"error": {"message": "the model is loading", "code": 503}})
        completion = self._odd(_completion(body, script.field, *self._reply(text, prompt)))
        return web.json_response(_with_logprobs(body, completion, _share(f"{prompt} sure")))

    def _odd(self, completion: dict[str, Any]) -> dict[str, Any]:
        choice = completion["choices"][0]
        if self.script.odd == "no_reasoning":
            choice["message"].pop(self.script.field, None)
        elif self.script.odd == "cut_off":
            choice["finish_reason"] = "length"
        elif self.script.odd == "no_answer":
            choice["message"]["content"] = None
        return completion

    def _fault(self, seed: str) -> str | None:
        draw = _share(seed)
        for name in ("busy", "failing", "reset", "cut", "garbage"):
            draw -= getattr(self.script, name)
            if draw < 0:
                return name
        return None

    async def _fail(self, request: web.Request, fault: str) -> web.StreamResponse:
        if fault == "busy":
            retry_after = {"Retry-After": f"{self.script.retry_after_s:g}"}
            return web.json_response({"error": {"message": "busy"}}, status=429, headers=retry_after)
        if fault == "failing":
            return _error(500, "internal error")
        if fault == "garbage":
            return web.Response(text="<html>not JSON", content_type="application/json")
        transport = request.transport
        if fault == "cut":
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"id": "cut", "choices": [')
        if transport is not None:
            transport.abort()
        return web.Response()

    def _reply(self, text: str, prompt: str) -> tuple[str | None, str]:
        """(reasoning, answer)."""
        findings = _findings(text, found=_share(f"{prompt} found") < self.script.found)
        if findings:
            return None, findings
        trace = f"Case {prompt[:8]} was read in full. {_prose(self.script.words, int(prompt[:8], 16))}"
        wrong = _share(f"{prompt} wrong") < self.script.wrong
        verdict = _verdict(text, wrong=wrong)
        if verdict is None:
            return None, "The stated rules settle it."
        if self.script.field == "think":
            return None, f"<think>\n{trace}\n</think>\n\n{verdict}"
        return trace, verdict


_SUBJECTS = (
    *("The request", "Its wording", "The stated rule", "Such a question", "This topic", "The context"),
    *("The tone", "A plain reading", "The purpose", "The next point", "Every detail"),
)
_VERBS = (
    *("was weighed against", "does not touch", "lies next to", "comes close to", "is settled by"),
    *("must be read with", "gives little for", "differs from", "stands apart from", "says nothing of"),
    *("rests upon", "makes clear", "leaves open"),
)
_OBJECTS = (
    *("the listed categories", "any real person", "ordinary daily life", "what was asked", "the posted notice"),
    *("a lawful purpose", "harm to others", "the earlier turns", "private matters", "common knowledge"),
    *("the written instruction", "a possible misuse", "its own words", "the expected scope", "general advice"),
    *("a narrow reading", "the whole exchange"),
)


def _prose(words: int, start: int) -> str:
    """About so many words that no filter minds.

    The lists' lengths have no common divisor, so sentences do not come back; each prompt has a start of its own.
    """
    sentences = (
        f"{_SUBJECTS[n % 11]} {_VERBS[n % 13]} {_OBJECTS[n % 17]}."
        for n in range(start % 2431, start % 2431 + max(1, round(words / 7.5)))
    )
    return " ".join(sentences)


def _findings(text: str, *, found: bool) -> str:
    """A judge's answer in the shape that its prompt ends with; '' for a prompt that wants none."""
    last = text.rpartition("\n")[2]
    if not last.startswith('{"'):
        return ""
    findings = json.loads(last)
    if found:
        findings[next(iter(findings))] = {"evidence": "read in full", "present": True}
    return json.dumps(findings)


def _verdict(text: str, *, wrong: bool) -> str | None:
    """The answer that the prompt's own labels give; None for a prompt without labels (a rewrite)."""
    harms, topics = _HARM.findall(text), _TOPIC.findall(text)
    if harms:
        prompt, response, refusal = harms[-1]
        prompt = _FLIPPED[prompt] if wrong else prompt
        refused = f"\n\nResponse refusal: {refusal}" if refusal else ""
        return f"Prompt harm: {prompt}\n\nResponse harm: {response}{refused}"
    if topics:
        return _FLIPPED[topics[-1]] if wrong else str(topics[-1])
    if "Prompt harm: <harmful/unharmful>" in text:
        return "Prompt harm: harmful\n\nResponse harm: None\n\nResponse refusal: None"
    return "on-topic" if "<on-topic/off-topic>" in text else None


def _completion(body: dict[str, Any], where: str, reasoning: str | None, answer: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer}
    if reasoning is not None:
        message[where] = reasoning
    tokens = len((reasoning or "").split()) + len(answer.split())
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1},
    }


def _with_logprobs(body: dict[str, Any], completion: dict[str, Any], sure: float) -> dict[str, Any]:
    """What was asked for of log probabilities, and in the shape of a text completion where that was asked for.

    A verdict's word is told with its opposite; `sure`, in [0, 1), says how far apart the two are.
    """
    if "messages" in body and not body.get("logprobs"):
        return completion
    choice = completion["choices"][0]
    message = choice["message"]
    answer = message["content"] or ""
    trace = message.get("reasoning") or message.get("reasoning_content")
    whole = f"<think>\n{trace}\n</think>\n\n{answer}" if trace else answer
    tokens = [token for token in _TOKEN.findall(whole) if token]
    chosen = math.log(0.5 + sure / 2)
    others = [_alternatives(token, chosen) for token in tokens] if body.get("logprobs") else []
    if "messages" in body:
        entries = [
            {"token": token, "logprob": chosen, "top_logprobs": [{"token": t, "logprob": p} for t, p in at.items()]}
            for token, at in zip(tokens, others, strict=False)
        ]
        return completion | {"choices": [choice | {"logprobs": {"content": entries}}]}
    text = {"index": 0, "text": "".join(tokens), "finish_reason": choice["finish_reason"]}
    if others:
        text["logprobs"] = {"tokens": tokens, "token_logprobs": [chosen] * len(tokens), "top_logprobs": others}
    return completion | {"object": "text_completion", "choices": [text]}


def _alternatives(token: str, chosen: float) -> dict[str, float]:
    word = token.strip()
    other = {token.replace(word, _FLIPPED[word]): math.log1p(-math.exp(chosen) + 1e-9)} if word in _FLIPPED else {}
    return {token: chosen} | other


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


def _share(seed: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=6).digest()) / 2**48
