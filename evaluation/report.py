"""Write what was found: Markdown for people, JSON and CSV for programs, and the plots."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployments.api.schemas.health import HealthAnswer
from evaluation.asking import Answered
from evaluation.plots import write_plot
from evaluation.questions import accent, deepfake, diarization, language, speaker
from evaluation.section import Section, Table, text, texts

MARKDOWN, JSON, CSV = "report.md", "report.json", "answers.csv"
COLUMNS = (language.columns, speaker.columns, accent.columns, deepfake.columns, diarization.columns)


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation: of what, how, and with what result."""

    data: str
    """The folder."""
    options: dict[str, Any]
    """The options that differ from the defaults."""
    health: HealthAnswer
    answers: Sequence[Answered]
    sections: Sequence[Section]
    warnings: Sequence[str] = ()
    """Why the figures may not be of one set of checkpoints, in sentences."""

    @property
    def failures(self) -> Table:
        """The reasons why clips have no answer, and how many have it."""
        found = Counter((task, error) for answered in self.answers for task, error in answered.errors.items())
        rows = [(task, error, number) for (task, error), number in found.most_common()]
        return Table("Without an answer", ("question", "reason", "clips"), list(rows), shown=20)

    def markdown(self) -> str:
        """Return the report as Markdown that can also be read in a terminal."""
        models = Table("Models", ("model", "source", "hub id", "revision", "engine"))
        for key, model in self.health.models.items():
            engine = f"{model.engine} {model.precision}, {model.device}"
            models.rows.append((key, model.source, model.hub_id, model.revision, engine))
        options = "".join(f", {name} {value}" for name, value in self.options.items())
        parts = [
            f"# Evaluation of voxgraph {self.health.version}",
            f"{len(self.answers)} recordings of `{self.data}`{options}.",
            markdown_table(models),
            *(f"**{warning} The figures mix sets of checkpoints.**" for warning in self.warnings),
        ]
        for section in self.sections:
            parts += [f"## {section.title}", *_markdown(section)]
        if self.failures.rows:
            parts.append(markdown_table(self.failures))
        return "\n\n".join(parts) + "\n"

    def json(self) -> dict[str, Any]:
        """Return the report as values of JSON."""
        return {
            "version": self.health.version,
            "data": self.data,
            "options": self.options,
            "models": {key: model.model_dump() for key, model in self.health.models.items()},
            "warnings": list(self.warnings),
            "recordings": len(self.answers),
            "failures": self.failures.records(),
            "questions": {
                section.task: {
                    "figures": section.figures,
                    "tables": {table.title: table.records() for table in section.tables},
                    "notes": section.notes,
                    "settings": section.settings,
                    "plots": [f"{plot.name}.png" for plot in section.plots],
                }
                for section in self.sections
            },
        }

    def write(self, folder: Path) -> None:
        """Write all files into a folder, which is created if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKDOWN).write_text(self.markdown(), encoding="utf-8")
        (folder / JSON).write_text(json.dumps(self.json(), indent=1), encoding="utf-8")
        write_answers(folder / CSV, self.answers)
        for section in self.sections:
            for plot in section.plots:
                write_plot(plot, folder)


def write_answers(path: Path, answers: Sequence[Answered]) -> None:
    """Write a line for each recording: its labels, and what was answered about it."""
    rows = [_row(answered) for answered in answers]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _row(answered: Answered) -> dict[str, object]:
    found: dict[str, object] = {**asdict(answered.clip), "seconds": answered.seconds}
    for columns in COLUMNS:
        found |= columns(answered)
    reasons = [f"{task}: {error}" for task, error in answered.errors.items()]
    return found | {"without_answer": "; ".join(reasons)}


def _markdown(section: Section) -> list[str]:
    """Return the paragraphs of one question."""
    figures = "\n".join(f"- {name}: {text(value)}" for name, value in section.figures.items())
    parts = [figures, *map(markdown_table, section.tables), *section.notes]
    if section.settings:
        parts += ["For `args` of the configuration file:", f"```yaml\n{section.settings.rstrip()}\n```"]
    return [*parts, *(f"![{plot.name}]({plot.name}.png)" for plot in section.plots)]


def markdown_table(table: Table) -> str:
    """Return a table of Markdown whose columns are aligned, with its title above it."""
    rows = [texts(row) for row in table.rows[: table.shown]]
    lines = [list(table.columns), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    more = len(table.rows) - len(rows)
    below = [f"\n{more} more in {JSON}."] if more else []
    ruler = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([f"**{table.title}**\n", line(table.columns), ruler, *map(line, rows), *below])
