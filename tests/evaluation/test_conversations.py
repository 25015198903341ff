"""References of conversations are found beside their recordings, and errors are those of pyannote.metrics."""

from pathlib import Path

import pytest
from pyannote.core import Annotation, Segment

from deployments.api.schemas.turns import TurnAnswer, TurnsAnswer
from evaluation.conversations import find_conversations
from evaluation.errors import DataError
from evaluation.questions.diarization import errors

LINE = "SPEAKER {} 1 {} {} <NA> <NA> {} <NA> <NA>\n"


def test_recordings_with_a_reference_of_their_stem_are_conversations(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.wav", "a.rttm", "deep/b.flac", "deep/b.rttm", "alone.wav"):
        (tmp_path / name).write_text(LINE.format("x", 0.5, 1.0, "ann") + LINE.format("x", 1, 2, "bob"))

    first, second = find_conversations(tmp_path)

    assert (first.file, second.file) == ("a.wav", "deep/b.flac")
    assert first.reference.labels() == ["ann", "bob"]
    assert first.reference.get_timeline().extent() == Segment(0.5, 3.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINE.format("x", 0, 1, "ann") + LINE.format("y", 0, 1, "bob"), "has turns of 2 recordings"),
        ("", "is not an RTTM file|has turns of 0 recordings"),
        ("SPEAKER x 1 zero 1.0 <NA> <NA> ann <NA> <NA>\n", "is not an RTTM file"),
        ("LEXEME x 1 0 1.0 <NA> <NA> ann <NA> <NA>\n", "has turns of 0 recordings"),
    ],
)
def test_a_reference_that_is_not_of_one_recording_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.rttm").write_text(text)

    with pytest.raises(DataError, match=message):
        find_conversations(tmp_path)


@pytest.mark.parametrize(("names", "found"), [((), "none"), (("a.wav", "a.mp3"), "a.mp3, a.wav")])
def test_a_reference_without_exactly_one_recording_is_refused(
    tmp_path: Path, names: tuple[str, ...], found: str
) -> None:
    (tmp_path / "a.rttm").write_text(LINE.format("x", 0, 1, "ann"))
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(DataError, match=f"found: {found}"):
        find_conversations(tmp_path)


def test_the_parts_of_the_error_are_those_counted_by_hand() -> None:
    reference = Annotation()
    reference[Segment(0, 4)] = "ann"
    reference[Segment(4, 8)] = "bob"
    # Ann is right for 3 s and missed for 1 s; Bob goes to Ann's label for 1 s; 2 s after the end are silent.
    turns = [(0, 3, "S0"), (4, 5, "S0"), (5, 10, "S1")]
    answer = TurnsAnswer(
        diarization_results=[TurnAnswer(start=a, end=b, speaker=who) for a, b, who in turns],
        segments_count=3, speakers=["S0", "S1"],
    )  # fmt: skip

    strict, forgiving = errors(reference, answer, 10.0), errors(reference, answer, 10.0, 0.25)

    assert (strict.total, strict.missed, strict.confusion, strict.false_alarm) == (8, 1, 1, 2)
    # The reference has borders at 0, 4 and 8.
    assert forgiving.total == pytest.approx(8 - 0.25 - 0.5 - 0.25)
    assert (forgiving.missed, forgiving.confusion) == (pytest.approx(0.75), pytest.approx(0.75))
