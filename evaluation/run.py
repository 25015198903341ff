"""An evaluation from the folder to the report: read labels, ask the graph, evaluate each question."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from pyannote.core import Annotation
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deployments.api.schemas.health import HealthAnswer
from evaluation.asking import CONCURRENCY, Answered, Graph, ask_all
from evaluation.conversations import Conversation, find_conversations
from evaluation.errors import DataError
from evaluation.manifest import NAME, Clip, read_manifest
from evaluation.questions import accent, deepfake, diarization, language, speaker
from evaluation.recordings import Request, uploads
from evaluation.report import Report
from evaluation.section import Section
from evaluation.selection import LABELS, requests
from voxgraph.options import TASKS, Task

QUESTIONS: Mapping[Task, Callable[[Sequence[Answered]], Section]] = {
    "language": language.evaluate,
    "accent": accent.evaluate,
    "deepfake": deepfake.evaluate,
}

LINES = 20
"""Number of lines that show the progress where there is no terminal."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is evaluated, and how."""

    only: tuple[Task, ...] = TASKS
    """The questions."""
    limit: int | None = None
    """Maximum number of clips of one source for one question; of conversations, in all. None: all."""
    cut_s: float | None = None
    """Cut every clip, but no conversation, to this length in seconds. None: leave them as they are."""
    concurrency: int = CONCURRENCY
    """Recordings in progress."""

    def given(self) -> dict[str, object]:
        """Return the options that change the figures and are not the defaults, by their names for make."""
        values = {"ONLY": ",".join(self.only), "LIMIT": self.limit, "CUT": self.cut_s}
        usual = {"ONLY": ",".join(TASKS), "LIMIT": None, "CUT": None}
        return {name: value for name, value in values.items() if value != usual[name]}


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be asked."""

    folder: Path
    clips: list[Request]
    conversations: list[Conversation]
    options: Options

    @property
    def references(self) -> dict[str, Annotation]:
        """The reference of each conversation by its file."""
        return {conversation.file: conversation.reference for conversation in self.conversations}


def make_plan(folder: Path, options: Options) -> Plan:
    """Read the labels of a folder, and choose what will be asked.

    Raises:
        DataError: A label is wrong, or there is none for any of the questions.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    conversations = find_conversations(folder) if "diarization" in options.only else []
    has_manifest = (folder / NAME).exists()
    clips = read_manifest(folder) if has_manifest or not conversations else []
    plan = Plan(
        folder,
        requests(clips, options.only, options.limit, options.cut_s),
        conversations[: options.limit],
        options,
    )
    if not plan.clips and not plan.conversations:
        needs = "; ".join(f"{task} needs {LABELS[task]}" for task in options.only)
        raise DataError(f"{folder} has no labels for any of the questions: {needs}.")
    return plan


async def evaluate(client: httpx2.AsyncClient, plan: Plan, console: Console) -> Report:
    """Ask the graph about everything, and evaluate its answers.

    Args:
        client: Its base URL is that of the graph.
        plan: What to ask.
        console: Where the progress is shown.

    Raises:
        GraphError: The graph does not answer.
    """
    graph = Graph(client)
    health = await graph.health()
    asked = [*plan.clips, *(Request(Clip(each.file), ("diarization",)) for each in plan.conversations)]
    answers: list[Answered] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        shown = progress.add_task("recordings", total=len(asked))

        def on_answer(answered: Answered) -> None:
            answers.append(answered)
            progress.advance(shown)
            # A log file gets lines in place of a bar.
            if not console.is_terminal and len(answers) * LINES // len(asked) > (
                len(answers) - 1
            ) * LINES // len(asked):
                console.print(f"{len(answers)} of {len(asked)} recordings")

        clips = uploads(plan.folder, plan.clips, plan.options.cut_s)
        await ask_all(graph, clips, plan.options.concurrency, on_answer)
        await ask_all(graph, uploads(plan.folder, asked[len(plan.clips) :]), 1, on_answer)
    warnings = changes(health, await graph.health(), answers)
    # Answers arrive in the order in which they are ready; figures and files must not depend on it.
    answers.sort(key=lambda answered: (answered.clip.file, answered.clip.start_s))
    console.print("Computing figures and their intervals ...")
    sections = [section for task in plan.options.only if (section := _section(task, answers, plan, health))]
    return Report(str(plan.folder), plan.options.given(), health, answers, sections, warnings)


def changes(before: HealthAnswer, after: HealthAnswer, answers: Sequence[Answered]) -> list[str]:
    """Return a sentence for each sign that not all answers are from the models that were loaded at first."""
    first, last = (
        {key: (model.hub_id, model.revision) for key, model in health.models.items()}
        for health in (before, after)
    )
    found = [
        f"The model {key} changed during the evaluation."
        for key in sorted({*first, *last})
        if first.get(key) != last.get(key)
    ]
    spaces = Counter((voice.model, voice.revision) for each in answers if (voice := each.answer.speaker))
    found += [
        f"{number} embeddings are from {model} at {revision}, which the graph had not loaded at first: "
        "another graph answered as well."
        for (model, revision), number in spaces.items()
        if (model, revision) not in first.values()
    ]
    return found


def _section(task: Task, answers: Sequence[Answered], plan: Plan, health: HealthAnswer) -> Section | None:
    """Evaluate one question; None if no clip has an answer to it."""
    answered = [each for each in answers if getattr(each.answer, task) is not None]
    if not answered:
        return None
    if task == "diarization":
        return diarization.evaluate(answered, plan.references)
    if task == "speaker":
        return speaker.evaluate(answered, speaker.calibrations_of(health))
    return QUESTIONS[task](answered)
