"""Simulated conversations of real voices match their reference turns, and parameters are tuned on them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from training.starter.conversations import Conversation, read_voices, simulate, split, utterances
from training.starter.tuning import best_parameters, error
from voxgraph.results import DiarizationResult, Turn, Waveform

RATE = 16_000


def voices(speakers: int) -> dict[str, list[Waveform]]:
    """Return utterances of constant signals, so that the samples show when someone talks."""
    lengths = (RATE, 2 * RATE, 9 * RATE)
    return {
        f"voice{number}": [np.full(length, 0.01, np.float32) for length in lengths]
        for number in range(speakers)
    }


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("speakers", [1, 2, 5])
def test_there_is_sound_during_turns_only(speakers: int, seed: int) -> None:
    made = simulate(voices(6), speakers, 60.0, np.random.default_rng(seed), augmented=False)

    talking = np.zeros(len(made.waveform), bool)
    for turn in made.turns:
        talking[round(turn.start_s * RATE) : round(turn.end_s * RATE)] = True
    assert len(made.waveform) == 60 * RATE
    assert np.array_equal(made.waveform != 0, talking)
    assert len({turn.speaker for turn in made.turns}) == speakers
    assert all(0 <= turn.start_s < turn.end_s <= 60 for turn in made.turns)
    assert list(made.turns) == sorted(made.turns, key=lambda turn: turn.start_s)


@pytest.mark.parametrize("seed", range(10))
def test_turns_of_one_speaker_do_not_overlap(seed: int) -> None:
    made = simulate(voices(3), 3, 60.0, np.random.default_rng(seed), augmented=False)

    for speaker in {turn.speaker for turn in made.turns}:
        turns = [turn for turn in made.turns if turn.speaker == speaker]
        assert all(before.end_s < after.start_s for before, after in pairwise(turns))


def test_conversations_overlap_and_pause() -> None:
    shares = []
    for seed in range(10):
        made = simulate(voices(4), 4, 60.0, np.random.default_rng(seed), augmented=False)
        counts = np.zeros(60 * RATE, int)
        for turn in made.turns:
            counts[round(turn.start_s * RATE) : round(turn.end_s * RATE)] += 1
        shares.append((np.mean(counts > 1), np.mean(counts == 0)))

    overlap, pause = np.mean(shares, axis=0)
    assert 0.02 < overlap < 0.4
    assert 0.05 < pause < 0.6


def test_the_same_seed_gives_the_same_conversation() -> None:
    first, second = (simulate(voices(4), 3, 20.0, np.random.default_rng(3)) for _ in range(2))

    assert first.turns == second.turns
    assert np.array_equal(first.waveform, second.waveform)


def test_a_clip_is_cut_at_its_pauses() -> None:
    noise = np.random.default_rng(0).normal(size=5 * RATE).astype(np.float32)
    level = np.full(5 * RATE, 1e-3, np.float32)
    # A pause of 0.2 s belongs to the utterance, one of a second does not.
    for start, end in ((0.5, 1.5), (1.7, 2.5), (3.5, 4.5)):
        level[int(start * RATE) : int(end * RATE)] = 0.1

    found = utterances(level * noise)

    assert [round(len(one) / RATE, 1) for one in found] == [2.0, 1.0]


def test_silence_has_no_utterance() -> None:
    assert utterances(np.zeros(RATE, np.float32)) == []


def test_both_halves_of_the_speakers_are_disjoint() -> None:
    halves = [split(voices(5), 2, part) for part in range(2)]

    assert sorted(name for half in halves for name in half) == sorted(voices(5))


def test_the_voices_of_a_source_are_read_from_its_manifest(tmp_path: Path) -> None:
    samples = 0.1 * np.random.default_rng(0).normal(size=40 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "clips.flac", samples, RATE)
    rows = ["file\tstart_s\tduration_s\tsource\tspeaker"]
    rows += [f"clips.flac\t{start}\t8\tbooks\tann" for start in (0, 10)]
    rows += ["clips.flac\t20\t8\tbooks\tbob", "clips.flac\t30\t8\tradio\tann"]
    (tmp_path / "manifest.tsv").write_text("\n".join(rows) + "\n")

    found = read_voices(tmp_path, "books")

    # Bob has too little speech.
    assert list(found) == ["ann"]
    assert [len(one) for one in found["ann"]] == [8 * RATE, 8 * RATE]


class Clustering:
    threshold = 0.0

    def instantiate(self, parameters: dict[str, Any]) -> None:
        self.threshold = parameters["threshold"]


class Diarizer:
    """Finds as many speakers as its threshold says."""

    def __init__(self) -> None:
        self.clustering = Clustering()

    def turns(self, outputs: Any, samples: int, speakers: Any) -> DiarizationResult:
        names = tuple(f"SPEAKER_{number}" for number in range(int(self.clustering.threshold)))
        turns = tuple(Turn(number, number + 1.0, name) for number, name in enumerate(names))
        return DiarizationResult(turns, turns, names)


def test_the_parameters_with_the_smallest_error_are_chosen() -> None:
    conversation = Conversation(np.zeros(RATE, np.float32), (Turn(0.0, 1.0, "ann"), Turn(1.0, 2.0, "bob")))
    grid = [{"threshold": float(speakers)} for speakers in (1, 2, 3)]
    diarizer: Any = Diarizer()
    outputs: Any = None

    assert best_parameters(diarizer, [(outputs, conversation)], grid) == {"threshold": 2.0}


def test_a_wrong_number_of_speakers_costs_more_than_its_time() -> None:
    conversation = Conversation(np.zeros(RATE, np.float32), (Turn(0.0, 1.0, "ann"), Turn(1.0, 2.0, "bob")))
    one = (Turn(0.0, 1.0, "x"),)

    assert error(DiarizationResult(conversation.turns, (), ("ann", "bob")), conversation) == 0
    assert error(DiarizationResult(one, (), ("x",)), conversation) == pytest.approx(0.75)
