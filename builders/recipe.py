"""A recipe: one TOML file that says everything about a run. Unknown keys are errors.

Paths are relative to the recipe's own folder. Keys and tokens are never in a recipe: `api_key_env` names the
environment variable that holds one.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from safety_reasoning.builders.prompts import rubric_modes
from safety_reasoning.builders.sources.selection import Selection
from safety_reasoning.filters.limits import Limits
from safety_reasoning.recipe_file import checked, read_toml
from safety_reasoning.schemas.columns import TEACHER, Naming

VerdictSource = Literal["with_trace", "blind"]
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+")]
TeacherName = Annotated[str, StringConstraints(pattern=rf"^{TEACHER}$", max_length=64)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SourceRecipe(_Section):
    """One source of samples."""

    kind: Literal["aegis", "canttalkaboutthis", "wildguardmix", "published"]
    """Which upstream format the files have."""
    path: str
    """A local folder, or `hf://datasets/OWNER/NAME`."""
    revision: str | None = None
    """The commit or tag of a Hub source; required there. For a local folder: what it was fetched from, for the
    record."""
    split: Literal["train", "validation", "test"] = "train"
    """Which of the source's splits is read."""
    suicide_detection: str | None = None
    """Aegis only: a folder with Suicide_Detection.csv, to reconstruct REDACTED prompts for the teachers."""
    select: Selection = Selection()
    """CantTalkAboutThis only: which user turns of a dialogue become samples."""


class Sampling(_Section):
    """How a teacher is asked for one step."""

    temperature: float = Field(default=0.6, ge=0, allow_inf_nan=False)
    """As the paper samples (section 4.2); a model's own card may say otherwise."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Nucleus sampling."""
    max_tokens: int = Field(default=4096, ge=1)
    """The limit of one reply, reasoning included."""
    seed: int = 0
    """Sent with every call; servers that sample by it give the same reply again."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, as the server documents them (top_k, chat_template_kwargs, …)."""
    retry_max_tokens: int | None = None
    """A truncated reply is asked for once more with this limit; None: it stays truncated."""

    @model_validator(mode="after")
    def _longer(self) -> Self:
        if self.retry_max_tokens is not None and self.retry_max_tokens <= self.max_tokens:
            raise ValueError("retry_max_tokens must be larger than max_tokens")
        return self

    @cached_property
    def shape(self) -> dict[str, Any]:
        """What of it shapes a reply: everything but what happens afterwards."""
        return self.model_dump(mode="json", exclude={"retry_max_tokens"})

    def longer(self) -> "Sampling":
        """The sampling of a truncated reply's second call."""
        return self.changed(max_tokens=self.retry_max_tokens, retry_max_tokens=None)

    def changed(self, **fields: Any) -> "Sampling":
        """The same with other fields; made anew, since a copy would keep the cached `shape`."""
        return Sampling(**self.model_dump() | fields)


class Price(_Section):
    """What a teacher's tokens cost, in US dollars per million, as its provider lists it."""

    prompt: float = Field(ge=0, allow_inf_nan=False)
    """Tokens that are sent."""
    completion: float = Field(ge=0, allow_inf_nan=False)
    """Tokens that are generated, reasoning included."""

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class VllmRecipe(_Section):
    """How a model is loaded by the `vllm` engine, and by `ray` for a teacher without servers."""

    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that share the model."""
    reasoning_parser: str = ""
    """vLLM's name of the parser that splits reasoning from answer (deepseek_r1, qwen3, openai_gptoss, …);
    '': <think> tags."""
    engine_args: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of vLLM's engine (max_model_len, dtype, gpu_memory_utilization, revision, …)."""

    @model_validator(mode="after")
    def _no_token(self) -> Self:
        if "hf_token" in self.engine_args:
            raise ValueError("a token is never in a recipe: log in to the Hub, or export HF_TOKEN")
        return self


class RayRecipe(_Section):
    """Where and how wide the `ray` engine works."""

    address: str = "local"
    """local: a cluster of this machine, started for the run. auto, or HOST:6379: the one that this machine is part
    of."""
    workers: int = Field(default=2, ge=1)
    """Actors that call servers (`concurrency` calls each), or replicas of the model."""
    parts: str | None = None
    """A folder that every machine of the cluster can write to, for requests and replies on their way; None: beside
    the store."""


class TransformersRecipe(_Section):
    """How a model is loaded by the `transformers` engine."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPUs, where there are any."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: float32 on a CPU, what the model is kept in on a GPU."""


class EngineRecipe(_Section):
    """A model, and how it is reached."""

    name: TeacherName
    """A teacher's part of the column names: lower-case letters, digits and underscores, a letter first."""
    engine: Literal["openai", "vllm", "ray", "transformers", "embedded"]
    """openai: any OpenAI-compatible server. vllm: the model in this process, in batches. ray: over a cluster,
    calling servers (with `base_urls`) or running the model there (without). transformers: the model in this process,
    in batches, on a CPU or a GPU, without a server. embedded: SmolLM2-135M in this process, on the CPU. The engine is
    no part of a call's key: a run may go on with another one."""
    model: str = ""
    """The model's name as the server knows it, or as the Hub does; vllm, transformers: or its folder; transformers:
    or `embedded`, for the embedded engine's model."""
    revision: str | None = None
    """The Hub's commit or tag of the model. transformers reads it at that; for the others it is stated alone, and a
    server or `vllm.engine_args` must be told apart from it."""
    base_urls: tuple[Address, ...] = ()
    """openai, ray: the servers, each up to and with /v1; a call goes to the least busy one."""
    api_key_env: str | None = None
    """openai, ray: the environment variable that holds the key; None for servers that want none."""
    concurrency: int = Field(default=16, ge=1)
    """Calls in flight, over all its servers; vllm, transformers: calls in a batch; ray: for each worker."""
    timeout_s: float = Field(default=1800.0, gt=0)
    """For one call; long traces take minutes."""
    attempts: int = Field(default=10, ge=1)
    """Tries of one call when the server is busy, fails or cuts the connection."""
    price: Price | None = None
    """Its price table, for the cost of every reply and `budget.cost_usd`."""
    vllm: VllmRecipe = VllmRecipe()
    """engine vllm, and ray without `base_urls`."""
    ray: RayRecipe = RayRecipe()
    """engine ray."""
    transformers: TransformersRecipe = TransformersRecipe()
    """engine transformers."""

    @property
    def title(self) -> str:
        """How errors name it: `teacher a`, `judge b`."""
        return f"teacher {self.name}"

    @property
    def samplings(self) -> tuple[Sampling, ...]:
        """How it is asked, in every way that the recipe knows."""
        return tuple(value for _, value in self if isinstance(value, Sampling))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.engine == "openai" and not (self.base_urls and self.model):
            raise ValueError('engine "openai" needs `base_urls` and `model`')
        if self.engine in {"vllm", "ray", "transformers"} and not self.model:
            raise ValueError(f'engine "{self.engine}" needs `model`')
        if self.engine in {"embedded", "vllm", "transformers"} and (self.base_urls or self.api_key_env):
            raise ValueError(f'engine "{self.engine}" serves itself: remove `base_urls` and `api_key_env`')
        return self


class TeacherRecipe(EngineRecipe):
    """One teacher."""

    full: Sampling = Sampling()
    """For the full trace."""
    efficient: Sampling = Sampling(max_tokens=1024)
    """For the shortened trace."""
    predict: Sampling = Sampling()
    """For the blind prediction (`release.verdict = "blind"`)."""
    samples: int = Field(default=1, ge=1)
    """Full traces for one sample, each with its own seed; the release takes the best (see `sift.best`)."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.name in {"any", "majority", "all"}:
            raise ValueError(f"{self.name!r} is a keep rule: give the teacher another name")
        if self.name.startswith("trace_"):
            raise ValueError("a name that starts with `trace_` would make column names ambiguous")
        return self


class JudgeRecipe(EngineRecipe):
    """A model that reads the traces under a rubric (builders/prompts/rubric) and refuses those it finds at fault.

    A trace that it could not judge is not released either (`not_judged`).
    """

    sampling: Sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=4096)
    """How it is asked: its findings should not be a matter of chance."""
    structured: bool = True
    """Sends the JSON Schema of the answer as `response_format`; false for servers that refuse that field."""
    ask: Literal["kept", "all"] = "kept"
    """kept: about traces that the filters keep. all: about every trace, so that `traces report` can say how far it
    agrees with them."""
    again: int = Field(default=2, ge=0, le=9)
    """Times that it is asked again, with another seed and warmer, when its answer cannot be read."""
    modes: tuple[str, ...] = ()
    """The rubric's failure modes that it looks for; () for all of them."""

    @property
    def title(self) -> str:
        """See `EngineRecipe.title`."""
        return f"judge {self.name}"

    @property
    def rubric(self) -> tuple[str, ...]:
        """The failure modes that it looks for, sorted."""
        return tuple(sorted(self.modes)) or rubric_modes()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        unknown = sorted(set(self.modes) - set(rubric_modes()))
        if unknown:
            raise ValueError(f"the rubric has no mode {unknown[0]!r}: use {', '.join(rubric_modes())}")
        if self.engine == "ray":
            raise ValueError('a judge has engine "openai", "vllm" or "embedded": give it the cluster\'s servers')
        return self


class ReleaseRecipe(_Section):
    """What is written."""

    name: str
    """The data set's name, as the card's title."""
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = "0.1.0"
    """The semantic version that the card and the manifest state."""
    out: str
    """The release folder. It is replaced as a whole, and only if it is a release or empty."""
    store: str
    """The SQLite file that keeps every reply."""
    columns: Naming = "card"
    """card: the column names of the dataset card. published: those of the published files."""
    keep: str = "any"
    """Which samples are kept by verdict: any, majority or all of the teachers agree with the gold label, or
    the teacher of that name does."""
    sentences: int = Field(default=1, ge=1, le=10)
    """The budget of an efficient trace."""
    verdict: VerdictSource = "with_trace"
    """with_trace: the verdict given beside the full trace, by a teacher that was told the gold label.
    blind: a further call with the inference prompt, which does not tell it."""
    license: str = "cc-by-4.0"
    """The Hub's identifier of the release's licence."""
    repo: str = ""
    """The Hub repository that the card's examples name; '' where none is decided."""
    language: tuple[str, ...] = ("en",)
    """Language codes for the card."""


class Regenerate(_Section):
    """What happens to a trace that the filters drop (paper, section 4.1)."""

    attempts: int = Field(default=3, ge=0, le=9)
    """Times that it is asked for again: first with another seed, then with another temperature, then told what was
    wrong. 0: it stays dropped."""


class Budget(_Section):
    """What the replies of a store may cost, over all runs.

    The run that meets a limit stops and keeps what it has. Calls in flight at that moment are finished, so tokens
    and money may end a little above.
    """

    calls: int | None = Field(default=None, ge=0)
    """Replies."""
    tokens: int | None = Field(default=None, ge=0)
    """Tokens sent and generated."""
    cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """US dollars by the teachers' price tables."""


class Recipe(_Section):
    """A whole run."""

    release: ReleaseRecipe
    sources: tuple[SourceRecipe, ...] = Field(min_length=1)
    teachers: tuple[TeacherRecipe, ...] = ()
    budget: Budget = Budget()
    filters: Limits = Limits()
    """Where the filters of trace quality draw their lines (filters/limits.py)."""
    regenerate: Regenerate = Regenerate()
    judge: JudgeRecipe | None = None
    """A model that reads what the filters keep; None: no judge."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [teacher.name for teacher in self.teachers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two teachers are named {twice[0]!r}: their columns would be the same")
        if not names and any(source.kind != "published" for source in self.sources):
            raise ValueError("a source without traces needs at least one [[teachers]] section")
        if names and any(source.kind == "published" for source in self.sources):
            raise ValueError("a published source has its traces: give it a recipe without [[teachers]]")
        if self.judge is not None and self.judge.name in names:
            raise ValueError(f"judge.name = {self.judge.name!r} is a teacher's name: give the judge another one")
        asked = [*self.teachers, *([self.judge] if self.judge else [])]
        unpriced = sorted(one.name for one in asked if one.price is None)
        if self.budget.cost_usd is not None and unpriced:
            raise ValueError(f"budget.cost_usd needs a `price` for every teacher and judge; {unpriced[0]} has none")
        if names and self.release.keep not in {"any", "majority", "all", *names}:
            raise ValueError(f"release.keep = {self.release.keep!r}: use any, majority, all or {', '.join(names)}")
        return self


def load_recipe(path: Path) -> Recipe:
    """The recipe in a file, its paths made absolute.

    Raises: UsageError naming the file, the field, what is wrong and what is allowed.
    """
    recipe = checked(Recipe, read_toml(path), path)
    return _anchored(recipe, path.parent)


def _anchored(recipe: Recipe, folder: Path) -> Recipe:
    def absolute(path: str) -> str:
        return path if path.startswith("hf://") else str((folder / path).resolve())

    sources = tuple(
        source.model_copy(
            update={
                "path": absolute(source.path),
                "suicide_detection": source.suicide_detection and absolute(source.suicide_detection),
            }
        )
        for source in recipe.sources
    )
    teachers = tuple(
        teacher.model_copy(
            update={"ray": teacher.ray.model_copy(update={"parts": teacher.ray.parts and absolute(teacher.ray.parts)})}
        )
        for teacher in recipe.teachers
    )
    release = recipe.release.model_copy(
        update={"out": absolute(recipe.release.out), "store": absolute(recipe.release.store)}
    )
    return recipe.model_copy(update={"sources": sources, "teachers": teachers, "release": release})
