"""RTTM, the NIST format that tools for scoring diarization read: one line of ten fields for each turn."""

import re
from collections.abc import Sequence

from voxgraph.formats.spans import Span, distinct

_MISSING = frozenset(
    {"#N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
     "NaN", "None", "n/a", "nan", "null"}
)  # fmt: skip
"""Words that pandas, with which pyannote.database reads RTTM, takes for a missing value."""


def write_rttm(spans: Sequence[Span], uri: str) -> str:
    """Write ``SPEAKER uri 1 start duration <NA> <NA> label <NA> <NA>``, in seconds with three decimals."""
    labels = distinct((span.label for span in spans), field)
    name = field(uri)
    return "".join(
        f"SPEAKER {name} 1 {_seconds(span.start_ms)} {_seconds(span.end_ms - span.start_ms)} "
        f"<NA> <NA> {labels[span.label]} <NA> <NA>\n"
        for span in spans
    )


def field(text: str) -> str:
    """Return a text as one field: without whitespace and quotes, and not a word for a missing value."""
    joined = re.sub(r"\s+", "_", text.replace('"', "'"))
    return f"{joined}_" if joined in _MISSING else joined


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"
