"""curator: its `openai` backend. Where tiktoken cannot fetch its vocabulary, four characters are a token."""
# pyright: reportMissingImports=false

import json
import os
import time
from typing import Any

from arguments import Arguments, arguments

os.environ |= {"TELEMETRY_ENABLED": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1"}


class _FourCharacters:
    """In place of an encoding of tiktoken, which the backend wants at its start to estimate its tokens."""

    def encode(self, text: str, **_: object) -> list[int]:
        """So many tokens as an English text has, about."""
        return [0] * (len(text) // 4)


def _ask_all(given: Arguments) -> int:
    import tiktoken

    tiktoken.get_encoding = lambda _: _FourCharacters()
    from bespokelabs import curator

    class Asking(curator.LLM):
        """One request a row."""

        def prompt(self, row: dict[str, Any]) -> str:
            """The recorded one."""
            return str(row["prompt"])

        def parse(self, row: dict[str, Any], response: object) -> dict[str, Any]:
            """The answer as it came."""
            return {"prompt": row["prompt"], "answer": response}

    body = given.sampling()
    asking = Asking(
        model_name=body["model"],
        backend="openai",
        backend_params={
            "base_url": given.url,
            "api_key": "none",
            "max_concurrent_requests": given.concurrency,
            "max_requests_per_minute": 10_000_000,
            "max_tokens_per_minute": 10_000_000_000,
        },
        generation_params={"temperature": body["temperature"], "max_tokens": body["max_tokens"]},
    )
    answered = asking([{"prompt": prompt} for prompt in given.prompts()], working_dir=str(given.out))
    rows = getattr(answered, "dataset", answered)
    return sum(answer is not None for answer in rows["answer"])


if __name__ == "__main__":
    wanted = arguments()
    started = time.monotonic()
    calls = _ask_all(wanted)
    print(json.dumps({"calls": calls, "seconds": time.monotonic() - started}))
