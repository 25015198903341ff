"""Test that the number of speakers is the requested one wherever the segmentation tells so many apart."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import samples
from small_checkpoints import small_checkpoint

from config.settings import CheckpointSource, EngineOptions
from pipelines.checkpoints import locate
from pipelines.diarization import Diarizer
from pipelines.diarization.campplus_diarizer import CamPlusPlusDiarizer
from pipelines.diarization.conversation import WindowDiarizer
from pipelines.diarization.requested_number import cluster_to
from pipelines.diarization.windows import outputs_of
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

FRAMES = 589
HER, HIM = "accent_us_f3.flac", "accent_us_m3.flac"


@pytest.fixture(scope="module")
def starter() -> CamPlusPlusDiarizer:
    checkpoint = locate(ModelKey.DIARIZATION_31, CheckpointSource(source="starter"))
    return CamPlusPlusDiarizer(checkpoint, "cpu", EngineOptions(engine="torch"))


@pytest.fixture(scope="module", params=["starter", ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1])
def diarizer(request: pytest.FixtureRequest, starter: CamPlusPlusDiarizer) -> WindowDiarizer:
    return starter if request.param == "starter" else Diarizer(small_checkpoint(request.param), "cpu")


def windows_of(*windows: Sequence[tuple[int, int, int]], dimension: int, seed: int = 0) -> WindowOutputs:
    """Make outputs of windows.

    Args:
        windows: For each window, (voice, first frame, last frame + 1) of its local speakers.
        dimension: Length of an embedding; each voice has its own direction.
        seed: Seed of the voices, and of the noise of their embeddings.
    """
    generator = np.random.default_rng(seed)
    voices = generator.normal(size=(10, dimension))
    speech = np.zeros((len(windows), FRAMES, 3), np.float32)
    embeddings = []
    for number, talking in enumerate(windows):
        for speaker, (voice, start, end) in enumerate(talking):
            speech[number, start:end, speaker] = 1
            embeddings.append(voices[voice] + 0.1 * generator.normal(size=dimension))
    found, speakers = np.nonzero(speech.any(axis=1))
    return outputs_of(speech, found, speakers, np.array(embeddings, np.float32))


def dimension_of(diarizer: WindowDiarizer) -> int:
    return 256 if isinstance(diarizer, Diarizer) else 192


def number(diarizer: WindowDiarizer, outputs: WindowOutputs, **speakers: int) -> int:
    seconds = 9 + len(outputs.speech)
    return len(diarizer.turns(outputs, seconds * SAMPLE_RATE_HZ, SpeakerCount(**speakers)).speakers)


@pytest.mark.parametrize("frames", [20, 30, 59, 90])
@pytest.mark.parametrize("voices", [2, 3])
def test_short_turns_of_one_window_have_the_requested_speakers(
    diarizer: WindowDiarizer, frames: int, voices: int
) -> None:
    talking = [(voice, 50 + 100 * voice, 50 + 100 * voice + frames) for voice in range(voices)]
    outputs = windows_of(talking, dimension=dimension_of(diarizer))

    assert number(diarizer, outputs, num_speakers=voices) == voices
    assert number(diarizer, outputs, min_speakers=voices) == voices
    assert number(diarizer, outputs, num_speakers=1) == number(diarizer, outputs, max_speakers=1) == 1
    assert number(diarizer, outputs, min_speakers=2, max_speakers=2) == 2


def test_speakers_of_one_window_are_told_apart_in_every_other(diarizer: WindowDiarizer) -> None:
    # Both are heard in every window of 13 s, each for less than a fifth of it.
    step = FRAMES // 10
    windows = [[(0, 300 - step * w, 380 - step * w), (1, 420 - step * w, 500 - step * w)] for w in range(4)]
    outputs = windows_of(*windows, dimension=dimension_of(diarizer))

    found = diarizer.turns(outputs, 13 * SAMPLE_RATE_HZ, SpeakerCount(num_speakers=2))

    assert [turn.speaker for turn in found.turns] == ["SPEAKER_00", "SPEAKER_01"]
    assert found.speakers_note is None


def test_a_number_that_the_segmentation_does_not_tell_apart_is_explained(diarizer: WindowDiarizer) -> None:
    outputs = windows_of([(0, 50, 150), (1, 200, 300)], dimension=dimension_of(diarizer))

    found = diarizer.turns(outputs, 10 * SAMPLE_RATE_HZ, SpeakerCount(num_speakers=20))

    assert (len(found.speakers), found.speakers_requested) == (2, 20)
    assert found.speakers_note == (
        "Found 2 of 20 speakers: in this recording the segmentation tells at most 2 speakers apart."
    )


def test_silence_has_none_of_the_requested_speakers(diarizer: WindowDiarizer) -> None:
    outputs = windows_of([], [], dimension=dimension_of(diarizer))
    outputs.embeddings.shape = (0, dimension_of(diarizer))

    found = diarizer.turns(outputs, 11 * SAMPLE_RATE_HZ, SpeakerCount(num_speakers=2))

    assert (found.turns, found.speakers, found.speakers_requested) == ((), (), 2)
    assert found.speakers_note == "No speech was found in the recording, so it has no speakers."


def test_without_a_requested_number_there_is_none_in_the_result(diarizer: WindowDiarizer) -> None:
    outputs = windows_of([(0, 50, 500)], dimension=dimension_of(diarizer))

    for speakers in (SpeakerCount(), SpeakerCount(max_speakers=5)):
        found = diarizer.turns(outputs, 10 * SAMPLE_RATE_HZ, speakers)
        assert (found.speakers_requested, found.speakers_note) == (None, None)


@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_pairs_of_a_window_get_different_clusters_while_there_are_enough(
    windows: int, clusters: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    talking = [
        [(int(generator.integers(10)), 100 * local, 100 * local + int(generator.integers(1, 100)))
         for local in range(generator.integers(1, 4))]
        for _ in range(windows)
    ]  # fmt: skip
    outputs = windows_of(*talking, dimension=16, seed=seed)
    for missing in (np.nan, 0.0):
        outputs.embeddings[generator.random(len(outputs.embeddings)) < 0.1] = missing

    found = cluster_to(outputs, clusters)

    assert len(found) == len(outputs.windows)
    assert 0 <= found.min() <= found.max() < clusters
    most = min(clusters, int((np.linalg.norm(outputs.embeddings, axis=1) > 0).sum()) or 1)
    for window in range(windows):
        own = found[outputs.windows == window]
        assert len(set(own.tolist())) == min(len(own), most)


def clip(name: str, start_s: float, seconds: float) -> Waveform:
    return samples(name)[int(start_s * SAMPLE_RATE_HZ) :][: int(seconds * SAMPLE_RATE_HZ)]


def with_pauses(*clips: Waveform, pause_s: float = 0.8) -> Waveform:
    pause = np.zeros(int(pause_s * SAMPLE_RATE_HZ), np.float32)
    return np.concatenate([part for clip in clips for part in (clip, pause)])


@pytest.mark.parametrize("seconds", [0.5, 0.8, 1.5, 3.0])
@pytest.mark.parametrize("order", [(HER, HIM), (HIM, HER)])
def test_two_short_turns_have_two_speakers(
    starter: CamPlusPlusDiarizer, seconds: float, order: tuple[str, str]
) -> None:
    recording = with_pauses(*(clip(name, 0.2, seconds) for name in order))

    found = starter(recording, SpeakerCount(num_speakers=2))

    assert [turn.speaker for turn in found.turns if turn.end_s - turn.start_s > 0.2][-1] == "SPEAKER_01"
    assert found.speakers == ("SPEAKER_00", "SPEAKER_01")
    first, second = found.turns[0], found.turns[-1]
    assert first.end_s < seconds + 0.8
    assert second.start_s > seconds + 0.4


def test_a_short_turn_beside_a_long_one_is_a_speaker_of_its_own(starter: CamPlusPlusDiarizer) -> None:
    recording = with_pauses(
        clip(HER, 0.0, 4.5), clip(HER, 0.3, 4.0), clip(HIM, 0.2, 1.0), clip(HER, 0.0, 4.5)
    )

    found = starter(recording, SpeakerCount(num_speakers=2))

    alone = [turn for turn in found.turns if turn.speaker == "SPEAKER_01"]
    assert sum(turn.end_s - turn.start_s for turn in alone) < 1.5
    assert all(9.5 < turn.start_s < turn.end_s < 12.5 for turn in alone)
