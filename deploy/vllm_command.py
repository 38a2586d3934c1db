"""The command that serves a guard with vLLM; options read in vLLM 0.32.

A guard that reasons is served with `--reasoning-parser qwen3`, for what it does with a text (tried on the parser
itself): the trace goes into its own field, and one that was cut off leaves no content, where `olmo3` and `granite`
leave the trace as content. It works on tokens where the tokenizer has `<think>` and on text where it has not;
`deepseek_r1` refuses such tokenizers. It takes everything for reasoning unless a request says `enable_thinking: false`,
so requests for no reasoning have to say it; one that says nothing gets what the guard's template means by that.
`enable_in_reasoning` lets a pattern bind the trace as well: without it, decoding is free until `</think>`.
"""

import json
import shlex
from dataclasses import dataclass

from safety_reasoning.deploy.guard import DeployedGuard

READ_IN = "0.32.0"
PARSER = "qwen3"
KEY_VARIABLE = "VLLM_API_KEY"
"""vLLM reads the key that it asks of its clients from here: in the command it would be seen by everyone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a guard is served."""

    guard: DeployedGuard
    host: str
    port: int
    reasoning_parser: str | None
    """None: the text is left as it is."""
    max_model_len: int | None
    """Tokens of prompt and answer; None: what the model was made for."""


def reasoning_parser(guard: DeployedGuard, wanted: str) -> str | None:
    """The parser for `auto`, or the one that is wanted; `none` for none."""
    if wanted == "auto":
        return None if guard.mode == "non_reasoning" else PARSER
    return None if wanted == "none" else wanted


def serve_arguments(serving: Serving) -> list[str]:
    """The command, an argument an item."""
    guard = serving.guard
    arguments = ["vllm", "serve", guard.path, "--served-model-name", guard.name]
    arguments += ["--host", serving.host, "--port", str(serving.port)]
    length = serving.max_model_len or guard.context_tokens
    if length is not None:
        arguments += ["--max-model-len", str(length)]
    if serving.reasoning_parser is not None:
        arguments += ["--reasoning-parser", serving.reasoning_parser]
        arguments += ["--structured-outputs-config", json.dumps({"enable_in_reasoning": True})]
    if guard.thinks_unasked is not None:
        arguments += ["--default-chat-template-kwargs", json.dumps({"enable_thinking": guard.thinks_unasked})]
    return arguments


def serve_script(arguments: list[str]) -> str:
    """The command as a shell script; further arguments are passed on."""
    options = arguments[3:]
    pairs = [options[place : place + 2] for place in range(0, len(options), 2)]
    lines = [shlex.join(arguments[:3]), *(shlex.join(pair) for pair in pairs), '"$@"']
    return (
        "#!/bin/sh\n"
        f"# Made by `safety-reasoning export vllm`, for vLLM {READ_IN} and later. Further options can be given.\n"
        f"# Clients need no key unless {KEY_VARIABLE} is set.\n"
        "exec " + " \\\n  ".join(lines) + "\n"
    )
