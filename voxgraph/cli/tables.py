"""Answers as tables, for people."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from voxgraph.cli.console import stdout

Answer = Mapping[str, Any]
Row = tuple[str, str]
FINDINGS = {
    "ai_generated": "AI-generated",
    "inconclusive": "inconclusive",
    "no_sign_found": "no sign of AI generation found",
}
SHOWN_RIVALS = 3
LEAST = 0.001
"""The least probability that is shown as a number, and the distance of the highest from 1."""


def print_answer(command: str, name: str, answer: Answer) -> None:
    """Print the answer about one recording to standard output."""
    console = stdout()
    title = f"{name} and {answer['other_file']}" if "other_file" in answer else name
    seconds = answer.get("audio_duration")
    console.print(title if seconds is None else f"{title}  ({seconds:.1f} s)", style="bold")
    table = Table.grid(padding=(0, 2))
    for label, text in ROWS[command](answer):
        table.add_row(f"  {label}", text)
    for warning in _warnings(answer):
        table.add_row("  note", warning)
    console.print(table)
    if command == "diarize" and answer["diarization_results"]:
        console.print(_turns(answer["diarization_results"]))


def _language(answer: Answer) -> Iterator[Row]:
    yield "language", f"{answer['name']} ({answer['language']}), {percent(answer['confidence'])}"
    rivals = [
        f"{code} {percent(share)}"
        for code, share in answer.get("probabilities", {}).items()
        if code != answer["language"] and share >= LEAST
    ]
    if rivals:
        yield "", ", ".join(rivals[:SHOWN_RIVALS])
    if answer.get("warning"):
        yield "", answer["warning"]


def _voice(answer: Answer) -> Iterator[Row]:
    size = answer["embedding_size"]
    yield "voice", f"{size} numbers of {answer['model']} at {answer['revision'][:20]}"
    if answer.get("language"):
        yield "", f"chosen by the language {answer['language']}, {percent(answer['confidence'])}"


def _accent(answer: Answer) -> Iterator[Row]:
    found = answer["accent"]
    found = found if isinstance(found, Mapping) else answer
    ranked = sorted(found["probabilities"].items(), key=lambda pair: -pair[1])[: SHOWN_RIVALS + 1]
    yield "accent", ", ".join(f"{label} {percent(share)}" for label, share in ranked)


def _speakers(answer: Answer) -> Iterator[Row]:
    turns = answer["diarization_results"]
    yield "speakers", f"{len(answer['speakers'])}, in {len(turns)} turns"
    seconds: defaultdict[str, float] = defaultdict(float)
    for turn in turns:
        seconds[turn["speaker"]] += turn["end"] - turn["start"]
    for speaker in answer["speakers"]:
        yield "", f"{speaker} {seconds[speaker]:.1f} s"
    if answer.get("speakers_note"):
        yield "", answer["speakers_note"]


def _deepfake(answer: Answer) -> Iterator[Row]:
    chunks = answer["summary"]
    finding = FINDINGS.get(answer["verdict"], answer["verdict"])
    counts = f"{chunks['ai_generated_chunks']} of {chunks['total_chunks']} chunks AI-generated"
    yield "deepfake", f"{finding}: {counts}"
    if answer.get("advice"):
        yield "", answer["advice"]


def _comparison(answer: Answer) -> Iterator[Row]:
    verdict = "the same speaker" if answer["same_speaker"] else "different speakers"
    similarity, threshold = answer["similarity_score"], answer["threshold"]
    yield "verdict", f"{verdict}: similarity {similarity:.3f}, threshold {threshold:.3f}"
    if answer.get("probability") is not None:
        prior = percent(answer["prior"])
        yield "", f"one speaker with a probability of {percent(answer['probability'])} (prior {prior})"


def _analysis(answer: Answer) -> Iterator[Row]:
    for task, rows in OF_TASKS.items():
        if answer.get(task) is not None:
            yield from rows(answer[task])
    for task, error in answer.get("errors", {}).items():
        yield task, f"no answer: {error['detail']}"


OF_TASKS = {
    "language": _language, "speaker": _voice, "accent": _accent, "diarization": _speakers,
    "deepfake": _deepfake,
}  # fmt: skip
ROWS = {
    "analyze": _analysis, "language": _language, "accent": _accent, "deepfake": _deepfake,
    "diarize": _speakers, "embed": _voice, "compare": _comparison,
}  # fmt: skip
"""Label and text of each row of an answer, by command."""


def _warnings(answer: Answer) -> Iterator[str]:
    """Yield the notes about the quality of a recording, or of two."""
    for name in ("quality", "quality1", "quality2"):
        yield from (answer.get(name) or {}).get("warnings", ())


def _turns(turns: Sequence[Answer]) -> Table:
    table = Table("start", "end", "speaker", "sure", box=None, padding=(0, 2), pad_edge=False)
    for turn in turns:
        sure = turn.get("confidence")
        times = clock(turn["start"]), clock(turn["end"])
        table.add_row(*times, turn["speaker"], "" if sure is None else percent(sure))
    return table


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, with hours if there are any: ``0:07.312``."""
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:06.3f}"
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"


def percent(share: float) -> str:
    """Return a probability as a percentage that never claims certainty."""
    if share > 1 - LEAST:
        return f"over {100 * (1 - LEAST):g} %"
    if 0 < share < LEAST:
        return f"under {100 * LEAST:g} %"
    return f"{100 * share:.1f} %"
