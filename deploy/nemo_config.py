"""A NeMo Guardrails configuration, as the objects of its YAML files. Pure; read in nemoguardrails 0.24.1.

Two models are declared on one server, so that each rail has its own request: the content-safety rails want a trace or
none and the answer's whole pattern, the topic rail one of two words and never a trace. Parsers are NeMo's own, because
its IORails engine does not see those that a config.py registers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from safety_reasoning.deploy.answer_format import TOPICS, harm_pattern
from safety_reasoning.deploy.guard import DeployedGuard
from safety_reasoning.deploy.lengths import TOPIC_TOKENS, Allowance
from safety_reasoning.deploy.nemo_prompts import RailPrompts
from safety_reasoning.errors import UsageError

SAFETY, TOPIC = "content_safety", "topic_control"
"""Types of the two models; flows name them with `$model=`."""
INPUT_FLOW = f"content safety check input $model={SAFETY}"
OUTPUT_FLOW = f"content safety check output $model={SAFETY}"
TOPIC_FLOW = f"topic safety check input $model={TOPIC}"
PARSERS = {
    "content safety check input": "nemotron_reasoning_parse_prompt_safety",
    "content safety check output": "nemotron_reasoning_parse_response_safety",
}
"""The built-in parser of each rail's answer; the topic rail has none."""
ENGINE = "vllm"
"""Not `openai` or `nim`: with those, NeMo sends OPENAI_API_KEY or NVIDIA_API_KEY to whatever `base_url` says."""
MAX_PROMPT_CHARS = 1_000_000
"""NeMo's own limit of 16,000 blocks long texts unseen; here the server's context is the limit."""
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a configuration is made of."""

    guard: DeployedGuard
    url: str
    reasoning: bool
    constrain: bool
    """Whether requests ask the server to decode along the answer's pattern; only vLLM's field for it is known."""
    api_key_env: str | None
    allowance: Allowance
    prompts: RailPrompts


def config_yaml(wanted: Wanted) -> dict[str, Any]:
    """config.yml."""
    models = [_model(wanted, SAFETY)]
    flows = [INPUT_FLOW]
    if wanted.prompts.topic is not None:
        models.append(_model(wanted, TOPIC))
        flows.append(TOPIC_FLOW)
    return {"models": models, "rails": {"input": {"flows": flows}, "output": {"flows": [OUTPUT_FLOW]}}}


def prompts_yaml(wanted: Wanted) -> dict[str, Any]:
    """prompts.yml."""
    limits = {"max_tokens": wanted.allowance.max_tokens, "max_length": MAX_PROMPT_CHARS}
    prompts: list[dict[str, Any]] = [
        {
            "task": _task(flow),
            "messages": [{"type": "user", "content": text}],
            "output_parser": PARSERS[flow.partition(" $")[0]],
            **limits,
        }
        for flow, text in ((INPUT_FLOW, wanted.prompts.input), (OUTPUT_FLOW, wanted.prompts.output))
    ]
    if wanted.prompts.topic is not None:
        prompts.append(
            {
                "task": _task(TOPIC_FLOW),
                "content": wanted.prompts.topic,
                "max_tokens": TOPIC_TOKENS,
                "max_length": MAX_PROMPT_CHARS,
            }
        )
    return {"prompts": prompts}


def _task(flow: str) -> str:
    """What the action of a flow calls its prompt."""
    name, model, kind = flow.partition(" $model=")
    return f"{name.replace(' ', '_')}{model}{kind}"


def _model(wanted: Wanted, kind: str) -> dict[str, Any]:
    topic = kind == TOPIC
    thinks = wanted.reasoning and not topic
    parameters: dict[str, Any] = {
        "base_url": wanted.url,
        "timeout": TIMEOUT_S,
        "chat_template_kwargs": {"enable_thinking": thinks},
    }
    if wanted.constrain:
        pattern = {"choice": list(TOPICS)} if topic else {"regex": harm_pattern(reasoning=thinks)}
        parameters["structured_outputs"] = pattern
    key = {} if wanted.api_key_env is None else {"api_key_env_var": wanted.api_key_env}
    return {"type": kind, "engine": ENGINE, "model": wanted.guard.name, **key, "parameters": parameters}


def server_url(url: str) -> str:
    """The address up to and with /v1, as both of NeMo's engines take it.

    Raises: UsageError if it is no address, or holds a password.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        secret = parts.username is not None or parts.password is not None
    except ValueError:
        valid, secret = False, False
    if secret:
        raise UsageError("the address holds a user or a password", fix="name the variable of a key: --api-key-env NAME")
    if not valid or any(c.isspace() for c in url):
        raise UsageError(f"{url!r} is no address of a server", fix="give one like http://127.0.0.1:8000/v1")
    return url.rstrip("/") if url.rstrip("/").endswith("/v1") else f"{url.rstrip('/')}/v1"


def variable(name: str) -> str:
    """The name of a variable of the environment.

    Raises: UsageError if it is none; it is not repeated, since it may be the key itself.
    """
    if not name.isidentifier() or not name.isascii():
        raise UsageError("--api-key-env wants the name of a variable", fix="give its name, GUARD_API_KEY, not the key")
    return name


def served_types(config: Mapping[str, Any]) -> dict[str, str]:
    """By the beginning of each configured flow that asks a model, the type of that model."""
    rails = config.get("rails") or {}
    flows = [flow for side in ("input", "output") for flow in (rails.get(side) or {}).get("flows") or []]
    found = (str(flow).partition(" $model=") for flow in flows)
    return {name: model for name, given, model in found if given}
