"""The spool: samples in their order, each once, read as often as one likes."""

from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from safety_reasoning.builders.samples import ContentSafetySample, Sample, TopicControlSample, Turn, digest
from safety_reasoning.builders.spool import Spool


def sample(name: str) -> ContentSafetySample:
    return ContentSafetySample(
        key=digest(name),
        prompt=name,
        response=None,
        prompt_harm="unharmful",
        response_harm=None,
        refusal=None,
        taxonomy="aegis",
        published={"id": name, "prompt": name, "response": None},
    )


def topic(name: str) -> TopicControlSample:
    turns = (Turn("user", name), Turn("assistant", "\ud800"))
    return TopicControlSample(
        key=digest(["topic", name]),
        system_instruction=name,
        history=turns,
        message=name,
        topic="off-topic",
        domain="",
    )


def spooled(*samples: Sample) -> Spool:
    spool = Spool()
    for each in samples:
        spool.add(each)
    return spool


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([sample, topic]), st.text(st.characters()))))
def test_samples_come_out_as_they_went_in_each_key_once(made: list[tuple[type, str]]) -> None:
    samples: list[Sample] = [make(name) for make, name in made]
    spool = Spool()
    added = [spool.add(each) for each in samples]
    first = {each.key: each for each in reversed(samples)}
    expected = [each for each, new in zip(samples, added, strict=True) if new]
    assert list(spool) == expected == [first[key] for key in dict.fromkeys(each.key for each in samples)]
    assert len(spool) == len(expected)


def test_a_sample_that_is_there_stays_as_it_came_first() -> None:
    other = TopicControlSample(
        key=sample("x").key, system_instruction="", history=(), message="", topic="on-topic", domain=""
    )
    spool = spooled(sample("x"), other)
    assert spool.add(other) is False
    assert (list(spool), len(spool)) == ([sample("x")], 1)


def test_an_empty_spool_has_nothing() -> None:
    assert (list(Spool()), len(Spool())) == ([], 0)


def test_a_spool_is_read_again_from_its_start() -> None:
    samples = [sample(str(n)) for n in range(100)]
    spool = spooled(*samples)
    assert list(islice(spool, 3)) == samples[:3]
    assert list(spool) == list(spool) == samples


def test_readers_do_not_disturb_each_other() -> None:
    samples = [sample(str(n)) for n in range(1000)]
    spool = spooled(*samples)
    one, two = iter(spool), iter(spool)
    seen_by_one, seen_by_two = list(islice(one, 500)), list(islice(two, 10))
    assert len(spool) == 1000
    for _ in range(490):
        seen_by_one.append(next(one))
        seen_by_two.append(next(two))
    assert seen_by_one + list(one) == seen_by_two + list(two) == samples


def test_spools_are_apart_from_each_other() -> None:
    one, two = spooled(sample("x")), spooled(sample("y"))
    assert (list(one), list(two)) == ([sample("x")], [sample("y")])
