"""Agreement: how far two or more labellers say the same, and how far a prediction meets what people marked. Pure.

Cohen's kappa comes from scikit-learn, Krippendorff's alpha from krippendorff; both are in the [review] extra.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from safety_reasoning.errors import missing_extra

Label = Hashable
"""What a labeller says of one item; labels are compared, never ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Cohen's kappa of two labellers."""

    value: float | None
    """1: they always agree. 0: as often as chance would. None: undefined, since there is nothing that both labelled,
    or one single label throughout, on which agreement shows nothing."""
    items: int
    """Labelled by both."""
    agreed: int
    """Of these, labelled alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alpha:
    """Krippendorff's alpha, nominal, of any number of labellers."""

    value: float | None
    """As `Kappa.value`."""
    items: int
    """With labels of at least two; the others say nothing of agreement and are left out."""
    labels: int
    """On these items, of all labellers together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A yes-or-no prediction against what was marked. The four sums are counts, or weights where items have them."""

    hits: float
    """Predicted and marked."""
    false_alarms: float
    """Predicted, not marked."""
    misses: float
    """Marked, not predicted."""
    passes: float
    """Neither."""
    unjudged: float
    """Items without a prediction; in none of the others."""

    @property
    def precision(self) -> float | None:
        """Of what is predicted, the share that is marked; None where nothing is predicted."""
        predicted = self.hits + self.false_alarms
        return self.hits / predicted if predicted else None

    @property
    def recall(self) -> float | None:
        """Of what is marked, the share that is predicted; None where nothing is marked."""
        marked = self.hits + self.misses
        return self.hits / marked if marked else None


def cohen_kappa(first: Sequence[Label], second: Sequence[Label]) -> Kappa:
    """Kappa of two labellers' labels, item by item.

    Raises: UsageError naming the extra if scikit-learn is not installed; ValueError if the lengths differ.
    """
    agreed = sum(one == other for one, other in zip(first, second, strict=True))
    codes = _codes([first, second])
    if len(codes) < 2:
        return Kappa(value=None, items=len(first), agreed=agreed)
    try:
        from sklearn.metrics import cohen_kappa_score  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        raise missing_extra("review", "scikit-learn") from None
    value = cohen_kappa_score([codes[label] for label in first], [codes[label] for label in second])
    return Kappa(value=float(value), items=len(first), agreed=agreed)


def krippendorff_alpha(labellers: Sequence[Sequence[Label | None]]) -> Alpha:
    """Alpha of any number of labellers: one row each, one column an item, None where one has no label.

    Raises: UsageError naming the extra if krippendorff is not installed; ValueError if the rows' lengths differ.
    """
    items = [[label for label in item if label is not None] for item in zip(*labellers, strict=True)]
    paired = [item for item in items if len(item) > 1]
    count = sum(map(len, paired))
    codes = _codes(paired)
    if len(codes) < 2:
        return Alpha(value=None, items=len(paired), labels=count)
    try:
        from krippendorff import alpha
    except ImportError:
        raise missing_extra("review", "krippendorff") from None
    counts = [[item.count(label) for label in codes] for item in paired]
    value = alpha(value_counts=counts, level_of_measurement="nominal")
    return Alpha(value=float(value), items=len(paired), labels=count)


def _codes(rows: Sequence[Sequence[Label]]) -> dict[Label, int]:
    """A number for each label that occurs."""
    seen = dict.fromkeys(label for row in rows for label in row)
    return {label: number for number, label in enumerate(seen)}


def against(
    predicted: Sequence[bool | None], marked: Sequence[bool], weights: Sequence[float] | None = None
) -> Against:
    """A prediction against the marks, item by item; None is an item that could not be predicted.

    `weights`: how many items of the whole each one stands for (the inverse of its chance to be drawn); all 1 without.
    Raises: ValueError if the lengths differ.
    """
    each = [1] * len(marked) if weights is None else weights
    sums: dict[tuple[bool | None, bool], float] = {}
    for guess, mark, weight in zip(predicted, marked, each, strict=True):
        sums[guess, mark] = sums.get((guess, mark), 0) + weight
    return Against(
        hits=sums.get((True, True), 0),
        false_alarms=sums.get((True, False), 0),
        misses=sums.get((False, True), 0),
        passes=sums.get((False, False), 0),
        unjudged=sums.get((None, True), 0) + sums.get((None, False), 0),
    )
