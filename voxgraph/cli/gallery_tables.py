"""Answers about galleries as tables, for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from voxgraph.cli.console import stdout

Answer = Mapping[str, Any]
Rows = tuple[Sequence[str], Iterator[Sequence[str]]]


def print_table(question: str, answer: Answer) -> None:
    """Print an answer to standard output; `TABLES` has its question."""
    _print_rows(*TABLES[question](answer))
    if answer.get("reviews"):
        _print_rows(*_reviews(answer))


def _print_rows(columns: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    table = Table(*columns, box=None, padding=(0, 2), pad_edge=False)
    for row in rows:
        table.add_row(*row)
    stdout().print(table)


def _galleries(answer: Answer) -> Rows:
    columns = "gallery", "speakers", "references", "operating point"
    return columns, (
        (each["name"], _states(each), str(each["references"]), each["policy"]["operating_point"])
        for each in answer["galleries"]
    )


def _gallery(answer: Answer) -> Rows:
    return _galleries({"galleries": [answer]})


def _states(gallery: Answer) -> str:
    return ", ".join(f"{count} {state}" for state, count in gallery["speakers"].items() if count) or "none"


def _speakers(answer: Answer) -> Rows:
    columns = "speaker", "name", "state", "references", "speech", "missing", "consent"
    return columns, (
        (
            each["external_id"], each["display_name"] or "", each["state"], str(each["references"]),
            f"{each['speech_s']:.1f} s", f"{each['remaining_speech_s']:.1f} s",
            ", ".join((each["consent"] or {}).get("purposes", ())),
        )
        for each in answer["speakers"]
    )  # fmt: skip


def _speaker(answer: Answer) -> Rows:
    return _speakers({"speakers": [answer]})


def _enrolment(answer: Answer) -> Rows:
    speaker = answer["speaker"]
    missing = speaker["remaining_speech_s"]
    verdict = "refused" if "reference" not in answer else _accepted(answer)
    notes = [each["message"] for each in (*answer.get("reasons", ()), *answer["warnings"])]
    rest = f"{speaker['state']}, {missing:.1f} s of speech missing" if missing else speaker["state"]
    return ("recording", "outcome", "speaker", "notes"), iter(
        [(answer["file"], verdict, rest, " ".join(notes))]
    )


def _accepted(answer: Answer) -> str:
    return "enrolled before" if answer.get("repeated") else "enrolled"


def _decision(answer: Answer) -> Rows:
    return _decisions([("", answer)])


def _identities(answer: Answer) -> Rows:
    return _decisions([*answer["identities"].items()])


def _decisions(found: Sequence[tuple[str, Answer]]) -> Rows:
    columns = "voice", "decision", "speaker", "probability", "log-likelihood ratio", "speech"
    return columns, (
        (
            each["label"] or name, each["decision"], each["display_name"] or each["speaker"] or "",
            _number(each["probability"]), _number(each["llr"]),
            f"{each['evidence']['speech_s']:.1f} s" if each["evidence"] else "",
        )
        for name, each in found
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _duplicates(answer: Answer) -> Rows:
    return ("speaker", "speaker", "similarity"), (
        (*each["speakers"], _number(each["score"])) for each in answer["duplicates"]
    )


def _reports(answer: Answer) -> Rows:
    columns = "encoder", "speakers", "same", "different", "outcome"
    return columns, (
        (
            each["space"]["model"], str(each["speakers"]), str(each["target_trials"]),
            str(each["impostor_trials"]), each["message"],
        )
        for each in answer["reports"]
    )  # fmt: skip


def _review(answer: Answer) -> Rows:
    row = answer["decision_id"], answer["decision"], answer["verdict"], answer["reviewed_by"]
    return ("decision", "what", "verdict", "by"), iter([row])


def _reviews(report: Answer) -> Rows:
    """Return columns and rows of what people say of the decisions of a gallery, from its report."""
    columns = "decisions", "point", "decision", "made", "confirmed", "rejected", "wrong (95 % interval)"
    return columns, (
        (
            each["kind"], each["operating_point"], name, str(made), str(each["confirmed"].get(name, 0)),
            str(each["rejected"].get(name, 0)), _rate(each["wrong_matches"]) if name == "match" else "",
        )
        for each in report["reviews"]
        for name, made in each["made"].items()
    )  # fmt: skip


def _rate(rate: Answer) -> str:
    if rate["rate"] is None:
        return ""
    return f"{100 * rate['rate']:.2g} % ({100 * rate['low']:.2g} to {100 * rate['high']:.2g})"


TABLES: dict[str, Callable[[Answer], Rows]] = {
    "list_galleries": _galleries, "show": _gallery, "put": _gallery, "speakers": _speakers,
    "speaker": _speaker, "put_speaker": _speaker, "change_speaker": _speaker, "merge": _speaker,
    "enrol": _enrolment, "verify": _decision, "identify": _decision, "identify_speakers": _identities,
    "duplicates": _duplicates, "calibrate": _reports, "report": _reports,
    "confirm": _review, "reject": _review,
}  # fmt: skip
"""Columns and rows of the answer to each question."""
