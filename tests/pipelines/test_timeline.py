"""Frames are placed by their timestamps."""

import pytest

from pipelines.audio.timeline import MAX_LATE_START_S, Timeline, zero_of


def test_frames_without_timestamps_follow_each_other() -> None:
    timeline = Timeline(0.0)

    placements = [timeline.place(None, 0.5) for _ in range(3)]

    assert timeline.position_s == 1.5
    assert all(placement.silence_s == placement.dropped_s == 0.0 for placement in placements)


@pytest.mark.parametrize("jitter_s", [-0.014, 0.0, 0.014])
def test_timestamps_that_tremble_change_nothing(jitter_s: float) -> None:
    timeline = Timeline(0.0)
    timeline.place(0.0, 1.0)

    placement = timeline.place(1.0 + jitter_s, 1.0)

    assert (placement.silence_s, placement.dropped_s, timeline.position_s) == (0.0, 0.0, 2.0)


def test_small_differences_do_not_add_up() -> None:
    timeline = Timeline(0.0)

    # A clock that is one part in a hundred faster than the samples.
    for number in range(1_000):
        timeline.place(number * 0.0202, 0.02)

    assert timeline.position_s == pytest.approx(999 * 0.0202 + 0.02, abs=0.015)


def test_a_late_timestamp_is_silence() -> None:
    timeline = Timeline(0.0)
    timeline.place(0.0, 1.0)

    assert timeline.place(3.5, 1.0).silence_s == 2.5
    assert timeline.position_s == 4.5


def test_samples_that_overlap_are_left_out() -> None:
    timeline = Timeline(0.0)
    timeline.place(0.0, 1.0)

    assert timeline.place(0.8, 1.0).dropped_s == pytest.approx(0.2)
    assert timeline.position_s == pytest.approx(1.8)


def test_timestamps_that_start_again_continue() -> None:
    timeline = Timeline(0.0)
    timeline.place(0.0, 10.0)

    placements = [timeline.place(at_s, 1.0) for at_s in (0.0, 1.0, 4.0)]

    assert [placement.silence_s for placement in placements] == [0.0, 0.0, 2.0]
    assert timeline.position_s == 15.0
    assert timeline.moved(20.0) == 0.0


@pytest.mark.parametrize(
    ("start_s", "zero_s"),
    [(None, 0.0), (0.0, 0.0), (2.5, 0.0), (-0.02, -0.02), (MAX_LATE_START_S, 0.0), (7_200.0, 7_200.0)],
)
def test_time_zero_is_the_file_s_unless_its_clock_is_that_of_a_live_stream(
    start_s: float | None, zero_s: float
) -> None:
    assert zero_of(start_s) == zero_s
