"""The optional libraries of scores, imported where they are used."""

from typing import Any

from safety_reasoning.errors import missing_extra

_EXTRA = "eval"


def sklearn_metrics() -> Any:
    """`sklearn.metrics`. Raises: UsageError naming the extra if it is not installed."""
    try:
        from sklearn import metrics  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        raise missing_extra(_EXTRA, "scikit-learn") from None
    return metrics


def scipy_stats() -> Any:
    """`scipy.stats`. Raises: UsageError naming the extra if it is not installed."""
    try:
        from scipy import stats  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        raise missing_extra(_EXTRA, "scipy") from None
    return stats


def scipy_sparse() -> Any:
    """`scipy.sparse`. Raises: UsageError naming the extra if it is not installed."""
    try:
        from scipy import sparse
    except ImportError:
        raise missing_extra(_EXTRA, "scipy") from None
    return sparse
