"""Options are validated when they are created."""

import math
import pickle

import pytest

from voxgraph.errors import InvalidOptions
from voxgraph.options import TASKS, ChunkOptions, SpeakerCount


@pytest.mark.parametrize(
    "options",
    [{"chunk_s": 0.9}, {"chunk_s": 30.1}, {"overlap": -0.1}, {"overlap": 0.91}, {"chunk_s": math.nan}],
)
def test_chunk_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidOptions, match=next(iter(options))):
        ChunkOptions(**options)


@pytest.mark.parametrize(
    "count",
    [
        {"num_speakers": 0},
        {"min_speakers": -1},
        {"max_speakers": 101},
        {"min_speakers": 3, "max_speakers": 2},
    ],
)
def test_invalid_numbers_of_speakers_are_refused(count: dict[str, int]) -> None:
    with pytest.raises(InvalidOptions):
        SpeakerCount(**count)


@pytest.mark.parametrize(
    ("count", "bounds"),
    [
        (SpeakerCount(), (1, math.inf)),
        (SpeakerCount(min_speakers=2), (2, math.inf)),
        (SpeakerCount(max_speakers=4), (1, 4)),
        (SpeakerCount(num_speakers=3), (3, 3)),
        (SpeakerCount(num_speakers=3, min_speakers=5, max_speakers=4), (3, 3)),
    ],
)
def test_an_exact_number_overrides_the_bounds(count: SpeakerCount, bounds: tuple[int, float]) -> None:
    assert count.bounds == bounds


def test_options_can_be_pickled() -> None:
    for options in (ChunkOptions(2.0, 0.25), SpeakerCount(min_speakers=2)):
        assert pickle.loads(pickle.dumps(options)) == options
    assert len(TASKS) == 5
