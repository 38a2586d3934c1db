"""The guards by name, and their settings as recipes give them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pydantic

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.guards.aegis2 import Aegis2
from safety_reasoning.eval.guards.gpt_oss_safeguard import GptOssSafeguard
from safety_reasoning.eval.guards.granite_guardian import GraniteGuardian
from safety_reasoning.eval.guards.guard import Guard
from safety_reasoning.eval.guards.guardreasoner import GuardReasoner
from safety_reasoning.eval.guards.instruct import instruct
from safety_reasoning.eval.guards.llama_guard import LlamaGuard3, LlamaGuard4
from safety_reasoning.eval.guards.nemoguard_topic import NemoGuardTopic
from safety_reasoning.eval.guards.nemotron_reasoning import NemotronReasoning
from safety_reasoning.eval.guards.ours import ours
from safety_reasoning.eval.guards.qwen3guard import Qwen3Guard
from safety_reasoning.eval.guards.rules import always_positive, keyword, refusal_expression
from safety_reasoning.eval.guards.shieldgemma import ShieldGemma
from safety_reasoning.eval.guards.wildguard import WildGuard

_ADAPTERS: Mapping[str, Callable[..., Guard]] = {
    "aegis2": Aegis2,
    "always_positive": always_positive,
    "gpt_oss_safeguard": GptOssSafeguard,
    "granite_guardian": GraniteGuardian,
    "guardreasoner": GuardReasoner,
    "instruct": instruct,
    "keyword": keyword,
    "llama_guard_3": LlamaGuard3,
    "llama_guard_4": LlamaGuard4,
    "nemoguard_topic": NemoGuardTopic,
    "nemotron_reasoning_4b": NemotronReasoning,
    "ours": ours,
    "qwen3guard": Qwen3Guard,
    "refusal_expression": refusal_expression,
    "shieldgemma": ShieldGemma,
    "wildguard": WildGuard,
}


def guard_names() -> tuple[str, ...]:
    """The names of all guards, sorted."""
    return tuple(sorted(_ADAPTERS))


def guard_settings(adapter: str) -> Mapping[str, object]:
    """The settings that a guard takes, with their defaults.

    Raises: UsageError for a name that is no guard's.
    """
    return {name: parameter.default for name, parameter in _parameters(adapter).items()}


def open_guard(adapter: str, **settings: object) -> Guard:
    """A guard with its settings.

    Raises: UsageError for a name that is no guard's, a setting that the guard does not have, and a value that the
    setting cannot take; further for settings that do not fit together (see the guard).
    """
    parameters = _parameters(adapter)
    for name, value in settings.items():
        if name not in parameters:
            known = ", ".join(parameters) or "it has none"
            raise UsageError(f"guard {adapter} has no setting {name!r}", fix=f"its settings: {known}")
        _check(adapter, name, value, parameters[name].annotation)
    return _ADAPTERS[adapter](**settings)


def _parameters(adapter: str) -> Mapping[str, inspect.Parameter]:
    if adapter not in _ADAPTERS:
        raise UsageError(f"no guard is named {adapter!r}", fix=f"use one of: {', '.join(guard_names())}")
    return inspect.signature(_ADAPTERS[adapter]).parameters


def _check(adapter: str, name: str, value: object, kind: Any) -> None:
    try:
        pydantic.TypeAdapter(kind).validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        why = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise UsageError(f"guard {adapter}: {name} = {value!r} cannot be used", why=why) from error
