"""datatrove's inference block over an endpoint, one task; with a checkpoint folder where CHECKPOINTS is set.

The block runs without its executor, whose manager is one more process of some 46 MB.
"""

# pyright: reportMissingImports=false

import json
import os
import time
from typing import Any

from arguments import Arguments, arguments


async def _rollout(document: Any, generate: Any) -> Any:
    return await generate({"messages": [{"role": "user", "content": document.text}]})


def _source(given: Arguments) -> Any:
    from datatrove.pipeline.readers import JsonlReader

    folder = given.out / "prompts"
    folder.mkdir()
    with (folder / "prompts.jsonl").open("w", encoding="utf-8") as file:
        for number, prompt in enumerate(given.prompts()):
            file.write(json.dumps({"id": str(number), "text": prompt}) + "\n")
    return JsonlReader(str(folder))


def _ask_all(given: Arguments, checkpoints: bool) -> int:
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter

    body = given.sampling()
    config = InferenceConfig(
        server_type="endpoint",
        endpoint_url=given.url.removesuffix("/v1"),
        model_name_or_path=body["model"],
        default_generation_params={"temperature": body["temperature"], "max_tokens": body["max_tokens"]},
        max_concurrent_generations=given.concurrency,
        max_concurrent_documents=given.concurrency,
    )
    answers = given.out / "answers"
    runner = InferenceRunner(
        rollout_fn=_rollout,
        config=config,
        output_writer=JsonlWriter(str(answers), output_filename="${rank}_${chunk_index}.jsonl", compression=None),
        checkpoints_local_dir=str(given.out / "checkpoints") if checkpoints else None,
        records_per_chunk=1000,
    )
    runner.run(_source(given).run(), rank=0)
    return sum(path.read_bytes().count(b"\n") for path in answers.glob("*.jsonl"))


if __name__ == "__main__":
    wanted = arguments()
    started = time.monotonic()
    calls = _ask_all(wanted, bool(os.environ.get("CHECKPOINTS")))
    print(json.dumps({"calls": calls, "seconds": time.monotonic() - started}))
