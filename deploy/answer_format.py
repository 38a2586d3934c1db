"""The answers that a guard may give behind a rail, as patterns that a server's decoding is held to.

NeMo Guardrails reads the first `Prompt harm: WORD` anywhere in a text, and its topic rail lets everything pass but
`off-topic` itself. Both are safe only if the answer can be nothing else, so the export asks the server to decode along
these patterns (`structured_outputs`, vLLM 0.32). A trace holds no colon and no `<`: cut off anywhere, it cannot quote a
verdict. The patterns keep to what every grammar back end knows: classes, groups, counted repeats.
"""

import regex

from safety_reasoning.builders.verdicts import END_THINK, THINK

TOPICS = ("on-topic", "off-topic")
"""What the topic rail can be answered. It compares with `off-topic`; case and space around it do not count."""

_TRACE = f"{THINK}[^:<]+{END_THINK}"
_VERDICT = r"\n{0,2}Prompt harm: (harmful|unharmful)\n{1,2}Response [Hh]arm: (harmful|unharmful|None)"


def harm_pattern(*, reasoning: bool) -> str:
    """A whole content-safety answer, with a trace in front of it or without one."""
    return (_TRACE if reasoning else "") + _VERDICT


def can_be_sent(text: str, pattern: str, *, cut: bool) -> bool:
    """Whether decoding along the pattern can give the text; `cut`: the token limit ended it early.

    A server with a reasoning parser takes the trace off, so what follows it can be the whole text. A pattern that is no
    regular expression holds nothing back.
    """
    wholes = [pattern]
    if pattern.startswith(THINK):
        wholes.append(pattern.partition(END_THINK)[2])
    try:
        return any(regex.fullmatch(whole, text.strip("\n"), partial=cut) is not None for whole in wholes)
    except regex.error:
        return True
