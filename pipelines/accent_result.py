"""The answer that both accent models give."""

from collections.abc import Sequence

from voxgraph.results import AccentResult

US_LABEL = "us"


def accent_result(labels: Sequence[str], probabilities: Sequence[float]) -> AccentResult:
    """Name the most probable accent.

    Args:
        labels: The checkpoint's labels.
        probabilities: One per label, in the same order; they sum to 1.
    """
    by_label = dict(zip(labels, probabilities, strict=True))
    accent = max(by_label, key=by_label.__getitem__)
    confidence = by_label[accent]
    return AccentResult(accent, confidence, confidence if accent == US_LABEL else 0.0, by_label)
