"""distilabel: one TextGeneration step over OpenAILLM, batches as large as the requests in flight."""
# pyright: reportMissingImports=false

import json
import os
import time

from arguments import arguments

os.environ["HF_HUB_OFFLINE"] = "1"

if __name__ == "__main__":  # its steps are processes, which import this file again
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    given = arguments()
    started = time.monotonic()
    sampling = given.sampling()
    with Pipeline(name="peer", cache_dir=given.out) as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": p} for p in given.prompts()], batch_size=given.concurrency)
        llm = OpenAILLM(
            model=sampling["model"],
            base_url=given.url,
            api_key="none",
            generation_kwargs={"temperature": sampling["temperature"], "max_new_tokens": sampling["max_tokens"]},
        )
        load.connect(TextGeneration(llm=llm, input_batch_size=given.concurrency))
    rows = pipeline.run(use_cache=False)["default"]["train"]
    calls = sum(answer is not None for answer in rows["generation"])
    print(json.dumps({"calls": calls, "seconds": time.monotonic() - started}))
