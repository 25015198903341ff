"""What the evaluation of one question finds: figures, tables, notes, settings and plots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from evaluation.metrics.resampling import Interval

Cell = str | int | float | Interval | None
"""None: there is no value, because the recordings that it needs are missing."""


@dataclass(slots=True)
class Table:
    """Figures in rows; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    shown: int | None = None
    """Maximum number of rows outside of the JSON; None: all."""

    def records(self) -> list[dict[str, Any]]:
        """Return all rows as dictionaries, for JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture, drawn when it is written."""

    name: str
    """File name without suffix."""
    draw: Callable[[Figure], None]


@dataclass(slots=True)
class Section:
    """The findings about one question."""

    task: str
    title: str
    figures: dict[str, Cell] = field(default_factory=dict)
    """The main figures by name."""
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences about what was left out and how to read the figures."""
    settings: str = ""
    """Lines of YAML for the ``args`` of a configuration file, or empty."""
    plots: list[Plot] = field(default_factory=list)


def text(cell: Cell, digits: int = 3) -> str:
    """Return a cell as text; `digits` is the number of decimals."""
    if cell is None:
        return "-"
    if isinstance(cell, Interval):
        return f"{cell.low:.{digits}f} to {cell.high:.{digits}f}"
    return f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell)


def texts(row: Sequence[Cell]) -> list[str]:
    """Return all cells of a row as text."""
    return [text(cell) for cell in row]
