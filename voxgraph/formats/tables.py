"""CSV, TSV and Audacity labels: one line for each span."""

import csv
import io
from collections.abc import Sequence

from voxgraph.formats.spans import Span

_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""First characters, also in their full width, with which a spreadsheet takes a cell for a formula."""
Columns = tuple[str, str]
"""Names of the columns of the label and of its score."""


def write_csv(spans: Sequence[Span], columns: Columns) -> str:
    """Write CSV (RFC 4180) with a header; times in seconds with three decimals."""
    return _write(spans, columns, ",", "\r\n")


def write_tsv(spans: Sequence[Span], columns: Columns) -> str:
    """Write the same table with tabs between the columns and plain line ends."""
    return _write(spans, columns, "\t", "\n")


def write_audacity(spans: Sequence[Span]) -> str:
    """Write a label track of Audacity: start and end in seconds with six decimals, and the label."""
    return "".join(f"{span.start_ms / 1000:.6f}\t{span.end_ms / 1000:.6f}\t{span.label}\n" for span in spans)


def _write(spans: Sequence[Span], columns: Columns, delimiter: str, line_end: str) -> str:
    table = io.StringIO()
    writer = csv.writer(table, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(("start", "end", *columns))
    for span in spans:
        score = "" if span.score is None else f"{span.score:.4f}"
        times = (f"{time / 1000:.3f}" for time in (span.start_ms, span.end_ms))
        writer.writerow((*times, _harmless(span.label), score))
    return table.getvalue()


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula: an apostrophe comes first."""
    return f"'{cell}" if cell[0] in _FORMULA else cell
