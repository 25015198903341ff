"""The recordings and the table of the benchmark of formats."""

import pytest

from benchmarks.recordings import clip
from benchmarks.uploads import Timed, in_formats, rows
from config.settings import AudioLimits
from pipelines.audio.decoding import decode, is_quick
from voxgraph.results import SAMPLE_RATE_HZ


def test_all_formats_have_the_same_recording_and_the_first_alone_is_decoded_where_it_arrives() -> None:
    formats = in_formats(clip(1.0))

    assert [is_quick(data) for data in formats.values()] == [True] + 5 * [False]
    for name, data in formats.items():
        assert len(decode(data, AudioLimits())) / SAMPLE_RATE_HZ == pytest.approx(1.0, abs=0.1), name


def test_a_side_is_compared_with_the_first_recording_by_recording() -> None:
    times = {
        ("WAV", "before"): [Timed(10.0, 1.0), Timed(90.0, 2.0), Timed(20.0, 3.0)],
        ("WAV", "now"): [Timed(12.0, 2.0), Timed(93.0, 2.0), Timed(21.0, 2.0)],
    }

    found = rows(["before", "now"], {"WAV": 320_000}, times)

    assert [(row[2], row[3], row[5], row[6]) for row in found] == [
        ("before", "20.0", "2.0", "-"),
        ("now", "21.0", "2.0", "+2.0"),
    ]
