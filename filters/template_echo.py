"""A trace speaks of the sample, not of the instructions that asked for it."""

from functools import cache

from safety_reasoning.filters.copies import copied_share
from safety_reasoning.filters.cues import all_needs, cues, lists, needed_cues, stems_of
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import STEM_CHARS, Reading, inputs_reading, reading, stem, template_reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_ECHOED = 8
"""Words in a row of the prompt's fixed text: "the last user message is off-topic" is how one concludes as well."""
_COMMANDS = 3
"""Commands that a recital of instructions has at least."""
_MOSTLY = 0.6
"""Share of the sentences that they make up."""
_FOREIGN = 3
"""Words of the sample's content that it has fewer of."""
_NAMES = 6
"""Categories that a recital of the taxonomy names at least."""
_RECITED = 0.3
"""Share of the trace's words that their names make up."""


def template_echo(trace: Trace, limits: Limits) -> Drop | None:
    """TEMPLATE_ECHO if the trace repeats the prompt's fixed text, recites the taxonomy, or is mostly about the task.

    What the sample holds too (a user who asks about classifiers) is a quotation of the sample.
    """
    read = reading(trace.text)
    found = (
        copied_share(read, template_reading(trace.template).gram_set, _ECHOED) > limits.echoed_share
        or _repeats(read, trace)
        or _talks(read, trace, limits)
        or _commands(read, trace)
        or _recites(read)
    )
    return Drop.TEMPLATE_ECHO if found else None


def _talks(read: Reading, trace: Trace, limits: Limits) -> bool:
    """Whether so much is said of the task; half as much is enough where nothing is said of the sample."""
    most = limits.task_talk_per_100_words * len(read.words) / 100
    places = read.places(all_needs())
    hints = sum([len(places[found]) for found in _talk_needs() & read.stems])  # a match has one
    if hints <= most / 2 or (hints <= most and _of_the_sample(read, trace)):
        return False
    said = [found[0] for group in needed_cues("template_echo", read) for found in group.found(read)]
    known = set(filter(inputs_reading(trace.inputs).holds, set(said)))
    talk = [phrase for phrase in said if phrase not in known]
    if len({phrase[:STEM_CHARS] for phrase in talk}) < limits.min_task_talk:
        return False
    return len(talk) > most or (len(talk) > most / 2 and _of_the_sample(read, trace) == 0)


def _commands(read: Reading, trace: Trace) -> bool:
    """Whether most sentences begin with a verb of writing, outside quotation marks, and few speak of the sample."""
    after, commands = _verbs()
    least = max(_COMMANDS, _MOSTLY * len(read.sentences))
    if sum([s.words[0] in commands or s.words[0] in after or s.words[0].isdecimal() for s in read.sentences]) < least:
        return False
    begins = (
        next((word for word in sentence.words if word not in after and not word.isdecimal()), "") in commands
        for sentence in read.sentences
        if sentence.text[0] != '"'
    )
    return sum(begins) >= least and _of_the_sample(read, trace) < _FOREIGN


def _recites(read: Reading) -> bool:
    """Whether the names of categories, one after another, are much of the trace."""
    names, stems = _taxonomy()
    if len(stems & read.stems) < _NAMES:
        return False
    named = [words for name, words in names if name in read.flat]
    return len(named) >= _NAMES and sum(named) > _RECITED * len(read.words)


def _of_the_sample(read: Reading, trace: Trace) -> int:
    """Words of the sample's content in the trace, by their stems."""
    return len((inputs_reading(trace.inputs).stems - stems_of("function_words")) & read.stems)


def _repeats(read: Reading, trace: Trace) -> bool:
    return any(
        _holds(read.flat, words) and not inputs_reading(trace.inputs).holds(words)
        for mark, phrases in _verbatim().items()
        if mark in read.flat
        for words in phrases
    )


def _holds(text: str, words: str) -> bool:
    """Whether the words stand there, not as the end of longer ones ("unharmful/unharmful", "{{prompt}}")."""
    at = text.find(words)
    while at > 0 and (text[at - 1].isalpha() if words[0].isalpha() else text[at - 1] == "{"):
        at = text.find(words, at + 1)
    return at >= 0


@cache
def _talk_needs() -> frozenset[str]:
    return frozenset[str]().union(*(group.needs for group in cues("template_echo")))


@cache
def _verbs() -> tuple[frozenset[str], frozenset[str]]:
    """(Words that may stand before a command, verbs that one begins with)."""
    group = lists("template_echo", "commands")
    return frozenset(group["after"]), frozenset(group["words"])


@cache
def _taxonomy() -> tuple[tuple[tuple[str, int], ...], frozenset[str]]:
    """(The categories' names and how many words they have, the stems of their first words)."""
    names = [(name, Reading(name).words) for name in lists("template_echo", "taxonomy")["words"]]
    return tuple((name, len(words)) for name, words in names), frozenset(stem(words[0]) for _, words in names)


@cache
def _verbatim() -> dict[str, list[str]]:
    """The phrases by a character that is rare in prose and that they hold; "" for the others."""
    by_mark: dict[str, list[str]] = {}
    for words in lists("template_echo", "verbatim")["words"]:
        by_mark.setdefault(next((mark for mark in "{/" if mark in words), ""), []).append(words)
    return by_mark
