"""Where each filter of quality draws its line. Every number can be set in a recipe."""

from pydantic import BaseModel, ConfigDict, Field

from safety_reasoning.filters.reasons import Drop


class Limits(BaseModel):
    """Thresholds, and which filters are off.

    "Golden" is the part of the golden set that thresholds were chosen on; benchmarks/golden_filters.py prints what they
    do on the fresh part.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    off: tuple[Drop, ...] = ()
    """Filters that are not applied, by their reason; those of the structure cannot be turned off."""

    min_words: int = Field(default=4, ge=1)
    """Words of a trace that gives a reason; the shortest good ones of the golden set have 2 and 4."""

    min_hesitations: int = Field(default=3, ge=1)
    """Hesitation marks ("wait", "let me re-check", "maybe") that a trace may not reach; golden."""
    hesitations_per_100_words: float = Field(default=3.0, ge=0, allow_inf_nan=False)
    """Marks in 100 words that a trace may not exceed either: a long one may hesitate more often. Golden:
    circling traces have 3.4 and more, others that reach the number above up to 0.3."""

    repeated_words: int = Field(default=8, ge=5)
    """Words in a row from which a passage counts as repeated: shorter phrases recur in any reasoning."""
    repeated_share: float = Field(default=0.25, ge=0, le=1)
    """Largest share of the trace's words in passages that stand earlier in it. Golden: traces
    without loops have up to 0.22, but for one. Gopher (Rae et al., 2021, table A1) allows web pages 0.12 of the
    characters."""
    often_repeated_share: float = Field(default=0.12, ge=0, le=1)
    """Largest share in passages that stand twice before; golden: traces without loops have up to 0.09."""
    repeated_sentences: int = Field(default=3, ge=2)
    """Times that one sentence of 5 words and more may not stand in a trace, nor an item of a list of 3 words and more;
    twice as often for a sentence of 3 or 4 words."""
    copied_line_words: int = Field(default=12, ge=1)
    """Words from which a line or paragraph may not stand twice."""
    loop_times: int = Field(default=4, ge=3)
    """Times that the same one to eight words may not stand in a row."""
    run_chars: int = Field(default=30, ge=3)
    """Characters in a row that may not be equal, but for rules and white space; longer words may not be made of few
    characters either."""

    near_duplicate_likeness: float = Field(default=0.68, ge=0, le=1)
    """Likeness from which two sentences count as one said twice: rapidfuzz's ratio of their content words in the order
    of the alphabet. Golden: 0.58 to 0.68 find 62 of 65, with three false alarms down to none; 0.7 finds one less."""
    near_duplicates: int = Field(default=3, ge=1)
    """Sentences that may not be near copies of earlier ones: parallel sentences on prompt and response are not a
    fault; golden."""
    near_duplicate_clauses: int = Field(default=2, ge=1)
    """The same for the clauses of a shortened trace, which is one sentence; golden."""
    near_duplicate_share: float = Field(default=0.25, ge=0, le=1)
    """Largest share of the sentences that may be; golden: circling traces have 0.43 and more, others up to 0.23."""
    max_comparisons: int = Field(default=20_000, ge=0)
    """Pairs of sentences that are compared at most, nearest first: 200 sentences are compared each with each."""

    max_words_full: int = Field(default=1000, ge=1)
    """Words of a full trace; the paper's have 300 tokens on average (section 5.3), about 230 words, and
    the longest good one of the golden set 468."""
    max_words_efficient: int = Field(default=60, ge=1)
    """Words of an efficient trace for each sentence that it was to have: four times the 15 of the paper's one-sentence
    traces (section 5.3), whose words grow in proportion to the sentences (appendix E, figure 5)."""

    copied_share: float = Field(default=0.45, ge=0, le=1)
    """Largest share of the trace's words in quotations of five and more words of what the teacher read. Golden: copies
    have 0.48 and more, reasoning that quotes has up to 0.33."""
    echoed_share: float = Field(default=0.2, ge=0, le=1)
    """Largest share of the trace's words in eight and more words in a row of the prompt's fixed text; golden: what is
    no echo has none."""

    task_talk_per_100_words: float = Field(default=6.0, ge=0, allow_inf_nan=False)
    """Words about the task ("format", "final answer", "classifier") in 100 that a trace may not exceed. Half of
    it is enough where the trace has no word of the sample. Golden: what is no echo has up to 5.1."""
    min_task_talk: int = Field(default=3, ge=1)
    """Different such words that an echo has at least: one word may be the sample's subject."""

    foreign_letters: float = Field(default=0.1, ge=0, le=1)
    """Largest share of letters outside the Latin script beyond the inputs' own share; golden."""
    foreign_words: float = Field(default=0.25, ge=0, le=1)
    """Largest share of the trace's words in sentences that read like another language's; golden."""
    min_english: float = Field(default=0.05, ge=0, le=1)
    """Smallest share of English function words in any language: lists of goods in plain English have as few as 0.07."""
    min_words_of_language: int = Field(default=9, ge=1)
    """Words from which that share says something."""
