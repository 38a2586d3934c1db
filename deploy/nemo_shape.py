"""The shape of a configuration's YAML, as far as rails depend on it; what else NeMo reads is let through. Pure."""

from typing import Any

import pydantic


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


class _Parameters(_Part):
    structured_outputs: dict[str, Any] | None = None


class _Model(_Part):
    type: str
    engine: str | None = None
    api_key_env_var: str | None = None
    parameters: _Parameters | None = None


class _Prompt(_Part):
    task: str
    output_parser: str | None = None
    max_tokens: int | None = None


class _Side(_Part):
    flows: list[str] | None = None


class _Rails(_Part):
    input: _Side | None = None
    output: _Side | None = None


class _File(_Part):
    models: list[_Model] | None = None
    prompts: list[_Prompt] | None = None
    rails: _Rails | None = None


def misshapen(content: dict[str, Any]) -> str:
    """The first thing in a file that is not what NeMo expects there, in words; "" where all is."""
    try:
        _File.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return ""
