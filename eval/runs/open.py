"""Open: from the tables [guard] and [engine] to a guard that can be asked; no engine is started."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety_reasoning.builders.teachers.embedded import grammar_for
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.guards.adapters import guard_settings, open_guard
from safety_reasoning.eval.guards.guard import Guard, Rule
from safety_reasoning.eval.runs.asked import Asked
from safety_reasoning.eval.runs.model import Model, local_folder, model_of
from safety_reasoning.eval.runs.recipe import AskRecipe, GuardEngine, GuardRecipe

_BATCHES = {"vllm", "ray", "transformers"}
_FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A guard, and how it is asked where it has a model."""

    guard: Guard
    settings: dict[str, Any]
    """Of the adapter, its defaults too, without paths."""
    policy: str | None
    """Which everything is judged by, in place of what comes with it."""
    model: Model | None
    asked: Asked | None
    timed: bool
    """Whether a reply's latency is that of a call alone, not of the batch that it was in."""


def open_asked(recipe: GuardRecipe, engine: GuardEngine | None, ask: AskRecipe) -> Opened:
    """A guard with its model, its policy and how it is sampled.

    Raises: UsageError if there is no such guard, it has no such setting, it takes no policy, its policy or its model
    cannot be read, or an engine is lacking.
    """
    settings = _settings(recipe, engine)
    guard = open_guard(recipe.adapter, **settings)
    policy = None if recipe.policy is None else _policy(Path(recipe.policy), guard)
    shown = {**guard_settings(recipe.adapter), **settings}
    if shown.get(_FOLDER) is not None:
        shown[_FOLDER] = Path(str(shown[_FOLDER])).name
    if isinstance(guard, Rule):
        return Opened(guard=guard, settings=shown, policy=policy, model=None, asked=None, timed=False)
    if engine is None:
        raise UsageError(
            f"guard {recipe.adapter} has a model, and nothing says where it answers",
            fix="add a table [engine] (to classify: or --engine), "
            'with engine = "openai", "vllm", "ray", "transformers" or "embedded"',
        )
    model, grammar = model_of(engine), _grammar(recipe, engine)
    asked = Asked(
        guard=guard,
        teacher=engine.name,
        model=engine.model or model.name,
        model_id=model.id,
        sampling=ask.sampling,
        generations=ask.generations,
        logprobs=0 if grammar else ask.logprobs,  # alternatives are told as if there were no grammar
        policy=policy,
        grammar=grammar,
    )
    return Opened(guard=guard, settings=shown, policy=policy, model=model, asked=asked, timed=_timed(engine))


def _settings(recipe: GuardRecipe, engine: GuardEngine | None) -> dict[str, Any]:
    """Those of the recipe; a guard that reads its own folder is told where its model is."""
    folder = None if engine is None else local_folder(engine)
    takes = _FOLDER in guard_settings(recipe.adapter) and _FOLDER not in recipe.settings
    if folder is not None and takes and (folder / "training.json").is_file():
        return {**recipe.settings, _FOLDER: str(folder)}
    return recipe.settings


def _policy(path: Path, guard: Guard) -> str:
    if not guard.takes_policy:
        raise UsageError(
            f"guard {guard.name} takes no policy",
            why="it judges by the taxonomy that it was trained on",
            fix="leave the policy out, or choose a guard that takes one (docs/guards.md)",
        )
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the policy {path} cannot be read", why=str(error)) from error
    if not text:
        raise UsageError(f"the policy {path} is empty", fix="say in it what is and what is not allowed")
    return text


def _grammar(recipe: GuardRecipe, engine: GuardEngine) -> str:
    if recipe.grammar is None:
        return ""
    if engine.engine != "embedded":
        raise UsageError("guard.grammar is of the embedded engine alone", fix="leave it out")
    return grammar_for(recipe.grammar)


def _timed(engine: GuardEngine) -> bool:
    if engine.engine == "ray":
        return bool(engine.base_urls)
    return engine.engine not in _BATCHES
