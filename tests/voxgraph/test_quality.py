"""The notes about a recording in words."""

from dataclasses import replace

import pytest

from voxgraph.results import Quality

GOOD = Quality(
    duration_s=30.0,
    clipped_ratio=0.0,
    snr_db=35.0,
    bandwidth_hz=7_800,
    sample_rate=44_100,
    channels=1,
    channels_mixed=None,
    speech_s=25.0,
)


def test_a_good_recording_has_no_warnings() -> None:
    assert GOOD.warnings == ()


def test_what_nobody_looked_for_or_cannot_be_told_is_no_warning() -> None:
    assert replace(GOOD, speech_s=None, snr_db=None, bandwidth_hz=None).warnings == ()


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"speech_s": 0.0}, "No speech was found."),
        ({"speech_s": 1.14}, "1.1 s of speech: too short to trust an accent, a language or a voice."),
        ({"speech_s": 3.5}, "3.5 s of speech: too short to trust an accent."),
        ({"clipped_ratio": 0.0123}, "1.2 % of the samples are clipped."),
        ({"snr_db": 4.4}, "The sound is only 4 dB above the noise."),
        (
            {"bandwidth_hz": 3_800},
            "Nothing is above 3.8 kHz, as on a telephone, though the file has 44.1 kHz.",
        ),
        (
            {"channels": 2, "channels_mixed": "loudest"},
            "The 2 channels cancel each other; only the loudest was heard.",
        ),
        (
            {"channels": 2, "channels_mixed": "mean", "channels_differ": True},
            "The 2 channels differ and were averaged; `channel` takes one of them.",
        ),
        ({"missing_s": 2.04}, "2.0 s are missing from the file and count as silence."),
        ({"damaged_s": 0.26}, "0.3 s are damaged and count as silence."),
    ],
)
def test_a_warning_names_its_figure(changes: dict[str, object], warning: str) -> None:
    assert replace(GOOD, **changes).warnings == (warning,)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"bandwidth_hz": 3_800, "sample_rate": 8_000},
        {"channels": 2, "channels_mixed": "mean"},
        {"channels": 2, "channels_mixed": "channel 0", "channels_differ": True},
        {"clipped_ratio": 1e-5},
    ],
)
def test_what_is_as_expected_is_no_warning(changes: dict[str, object]) -> None:
    assert replace(GOOD, **changes).warnings == ()  # type: ignore[arg-type]


def test_there_is_no_more_speech_than_recording() -> None:
    assert GOOD.heard(31.0).speech_s == 30.0
    assert GOOD.heard(None).speech_s is None
