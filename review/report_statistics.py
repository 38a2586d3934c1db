"""The two intervals and the line of a report, as scipy computes them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from safety_reasoning.errors import missing_extra

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A straight line through points, by least squares."""

    slope: float
    low: float | None
    """Ends of the slope's 95% interval (Student's t); None with fewer than three points, which leave no residual."""
    high: float | None
    intercept: float
    r_squared: float | None
    """Share of the points' variance that the line explains; None with fewer than three points or no variance."""


def wilson(part: int, whole: int) -> tuple[float | None, float | None]:
    """Ends of the 95% interval of a share (Wilson, 1927); (None, None) for a share of nothing."""
    if not whole:
        return None, None
    interval = _scipy_stats().binomtest(part, whole).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> Line | None:
    """The line; None with fewer than two different `xs`."""
    if len(set(xs)) < 2:
        return None
    stats = _scipy_stats()
    fit = stats.linregress(xs, ys)
    slope, points = float(fit.slope), len(xs)
    half = float(fit.stderr * stats.t.ppf((1 + CONFIDENCE) / 2, points - 2)) if points > 2 else None
    return Line(
        slope=slope,
        low=None if half is None else slope - half,
        high=None if half is None else slope + half,
        intercept=float(fit.intercept),
        r_squared=float(fit.rvalue**2) if points > 2 and len(set(ys)) > 1 else None,
    )


def _scipy_stats() -> Any:
    try:
        from scipy import stats  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        raise missing_extra("review", "scipy") from None
    return stats
