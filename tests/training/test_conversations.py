"""Simulated conversations match their reference turns."""

from itertools import pairwise

import numpy as np
import pytest

from training.conversations import Clip, activity, by_speaker, simulate
from voxgraph.results import Turn

RATE = 16_000


def clips(speakers: int) -> list[Clip]:
    """Return clips of constant signals, so that the samples show when someone talks."""
    return [Clip(np.full(4 * RATE, 0.01, np.float32), f"voice{number}", "en") for number in range(speakers)]


@pytest.mark.parametrize("seed", range(20))
def test_there_is_sound_during_turns_only(seed: int) -> None:
    made = simulate(by_speaker(clips(5)), 30.0, np.random.default_rng(seed), augmented=False)

    instants = np.arange(len(made.waveform)) / RATE
    talking = np.zeros(len(instants), bool)
    for turn in made.turns:
        talking |= (instants >= turn.start_s) & (instants < turn.end_s)
    assert len(made.waveform) == 30 * RATE
    assert not made.waveform[~talking].any()
    assert 2 <= len({turn.speaker for turn in made.turns}) <= 4
    assert all(0 <= turn.start_s < turn.end_s <= 30 for turn in made.turns)


@pytest.mark.parametrize("seed", range(20))
def test_turns_of_one_speaker_do_not_overlap(seed: int) -> None:
    made = simulate(by_speaker(clips(3)), 60.0, np.random.default_rng(seed), augmented=False)

    for speaker in {turn.speaker for turn in made.turns}:
        turns = [turn for turn in made.turns if turn.speaker == speaker]
        assert all(a.end_s <= b.start_s for a, b in pairwise(turns))


def test_conversations_overlap_and_pause() -> None:
    made = [simulate(by_speaker(clips(4)), 60.0, np.random.default_rng(seed)) for seed in range(10)]

    instants = np.arange(0, 60, 0.01)
    talking = [activity(c.turns, sorted({t.speaker for t in c.turns}), instants).sum(axis=1) for c in made]
    counts = np.concatenate(talking)
    assert 0.02 < np.mean(counts > 1) < 0.4
    assert 0.05 < np.mean(counts == 0) < 0.6


def test_the_same_seed_gives_the_same_conversation() -> None:
    first, second = (simulate(by_speaker(clips(4)), 20.0, np.random.default_rng(3)) for _ in range(2))

    assert first.turns == second.turns
    assert np.array_equal(first.waveform, second.waveform)


def test_activity_marks_the_speakers_of_each_instant() -> None:
    turns = [Turn(0.0, 1.0, "a"), Turn(0.5, 2.0, "b"), Turn(0.0, 9.0, "ignored")]

    found = activity(turns, ["a", "b"], np.array([0.25, 0.75, 1.5, 2.5]))

    assert found.tolist() == [[1, 0], [1, 1], [0, 1], [0, 0]]
