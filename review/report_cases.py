"""Cases: a store, sample by sample, with what every teacher of the recipe made of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.builders.join import EFFICIENT, FULL, kept_by
from safety_reasoning.builders.questions import full_call, predict_call
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.records import Record, TeacherTraces
from safety_reasoning.builders.samples import Sample, TopicControlSample
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.tried import Tried, tried
from safety_reasoning.builders.verdicts import Fault, mismatch, parse_harm, parse_topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What one teacher was asked about one sample."""

    teacher: str
    attempts: tuple[Tried, ...]
    """In the order of their calls; those whose reply, and the judge's about it, are in the store."""
    begun: bool
    """Whether the store holds a reply at all."""
    mismatch: bool | None = None
    """The release's flag; None where the chain has not ended, or ended without a usable verdict."""
    said: Mapping[str, str | None]
    """The verdict behind the flag, by label that the sample can have; None where it gives none."""

    @property
    def ended(self) -> bool:
        """Whether the store holds every reply that it needs."""
        return any(attempt.chosen for attempt in self.attempts)

    def released(self, step: str) -> str | None:
        """The trace of that step that the chain gives to a release; None where it gives none."""
        ends = (a.sifted for a in self.attempts if a.chosen and step_of(a) == step and not a.sifted.reasons)
        return next((sifted.trace for sifted in ends), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One sample."""

    sample: Sample
    chains: tuple[Chain, ...]
    """One for every teacher of the recipe, sorted by name."""
    released: bool
    """Whether it is in a release made of the store now: every chain has ended, and the keep rule holds."""


def step_of(attempt: Tried) -> str:
    """FULL or EFFICIENT."""
    return EFFICIENT if attempt.sifted.reply.step.is_efficient else FULL


def cases(recipe: Recipe, samples: Iterable[Sample], store: Store) -> Iterator[Case]:
    """Every sample, whether or not the store is finished."""
    teachers = sorted(recipe.teachers, key=lambda teacher: teacher.name)
    for sample in samples:
        attempts: dict[str, list[Tried]] = defaultdict(list)
        for attempt in tried(recipe, (sample,), store):
            attempts[attempt.teacher].append(attempt)
        chains = tuple(_chain(sample, teacher, attempts[teacher.name], recipe, store) for teacher in teachers)
        yield Case(sample=sample, chains=chains, released=_released(sample, chains, recipe))


def _chain(sample: Sample, teacher: TeacherRecipe, attempts: list[Tried], recipe: Recipe, store: Store) -> Chain:
    ends = [a.sifted.reply for a in attempts if a.chosen and a.sifted.reply.step is Step.FULL]
    verdict = ends[0] if ends else None
    if verdict is not None and recipe.release.verdict == "blind":
        verdict = _prediction(sample, teacher, store)
    answer = verdict.answer if verdict is not None and verdict.status is Status.OK else None
    return Chain(
        teacher=teacher.name,
        attempts=tuple(attempts),
        begun=bool(attempts) or full_call(sample, teacher).key in store,
        mismatch=None if answer is None else mismatch(sample, answer),
        said=said(sample, answer or ""),
    )


def _prediction(sample: Sample, teacher: TeacherRecipe, store: Store) -> Reply | None:
    """The blind prediction, or its longer repetition where it was truncated and the recipe allows one."""
    call = predict_call(sample, teacher)
    reply = store.get(call.key)
    longer = call.longer() if reply is not None and reply.status is Status.TRUNCATED else None
    return reply if longer is None else store.get(longer.key)


def said(sample: Sample, answer: str) -> dict[str, str | None]:
    """The verdict of an answer on each label that the sample can have; None where there is none to be read."""
    if isinstance(sample, TopicControlSample):
        topic = parse_topic(answer)
        return {"topic": None if isinstance(topic, Fault) else topic}
    harm = parse_harm(answer)
    verdicts: dict[str, str | None] = {"prompt harm": None if isinstance(harm, Fault) else harm.prompt}
    if sample.response is not None:
        verdicts["response harm"] = None if isinstance(harm, Fault) else harm.response
    return verdicts


def _released(sample: Sample, chains: tuple[Chain, ...], recipe: Recipe) -> bool:
    traces = {
        chain.teacher: TeacherTraces(
            full=chain.released(FULL), efficient=chain.released(EFFICIENT), mismatch=chain.mismatch
        )
        for chain in chains
    }
    return all(chain.ended for chain in chains) and kept_by(recipe.release.keep, Record(sample=sample, traces=traces))
