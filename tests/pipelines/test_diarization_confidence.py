"""Test the confidence of turns and frames, and the voices of the speakers."""

import numpy as np
import pytest
import torch
from launched import sample_path
from pyannote.audio.utils.powerset import Powerset

from config.settings import AudioLimits, CheckpointSource, EngineOptions
from pipelines.audio.decoding import decode
from pipelines.checkpoints import locate
from pipelines.diarization.campplus_diarizer import CamPlusPlusDiarizer
from pipelines.diarization.clustering import UNASSIGNED, voices_of
from pipelines.diarization.turns import Timeline, confidences
from pipelines.diarization.windows import HardAndSoft, hard_and_soft, outputs_of
from pipelines.speaker_campplus import CamPlusPlusEncoder
from pipelines.vendored.pyannote import SlidingWindow
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, DiarizationResult, Waveform

FRAMES = SlidingWindow(start=0.0, duration=0.0619375, step=0.016875)
STARTER = CheckpointSource(source="starter")
TORCH = EngineOptions(engine="torch")


@pytest.fixture(scope="module")
def diarizer() -> CamPlusPlusDiarizer:
    return CamPlusPlusDiarizer(locate(ModelKey.DIARIZATION_31, STARTER), "cpu", TORCH)


@pytest.fixture(scope="module")
def conversation() -> Waveform:
    return decode(sample_path().read_bytes(), AudioLimits())[6 * SAMPLE_RATE_HZ : 18 * SAMPLE_RATE_HZ]


@pytest.fixture(scope="module")
def found(diarizer: CamPlusPlusDiarizer, conversation: Waveform) -> DiarizationResult:
    return diarizer(conversation, SpeakerCount())


def test_the_probability_of_a_speaker_is_that_of_all_classes_with_it() -> None:
    classes = torch.randn(2, 5, 7).log_softmax(dim=-1)

    speech, probabilities = hard_and_soft(HardAndSoft(Powerset(3, 2))(classes).numpy())

    chances = classes.exp().numpy()
    np.testing.assert_allclose(probabilities[..., 0], chances[..., [1, 4, 5]].sum(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(probabilities[..., 2], chances[..., [3, 5, 6]].sum(axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(speech, Powerset(3, 2)(classes).numpy())


def test_a_frame_has_the_mean_probability_of_its_windows() -> None:
    timeline = Timeline(SlidingWindow(start=0.0, duration=10.0, step=1.0), FRAMES, 2)
    generator = np.random.default_rng(0)
    probabilities = generator.random((2, 589, 3)).astype(np.float32)
    speech = np.zeros((2, 589, 3), np.float32)
    speech[0, :, 0] = speech[1, :, 1] = 1  # the second window has the speaker in another place
    outputs = outputs_of(
        speech, np.array([0, 1]), np.array([0, 1]), np.ones((2, 4), np.float32), probabilities
    )

    certain = confidences(outputs, np.zeros(2, np.intp), timeline)

    assert certain is not None
    start = timeline.starts[1]
    both = (probabilities[0, start:, 0] + probabilities[1, : 589 - start, 1]) / 2
    np.testing.assert_allclose(certain[start:589, 0] / 255, both, atol=0.005)
    np.testing.assert_allclose(certain[:start, 0] / 255, probabilities[0, :start, 0], atol=0.005)


def test_turns_have_the_mean_confidence_of_their_frames(found: DiarizationResult) -> None:
    frames = found.frames
    assert frames is not None
    for turn in found.turns:
        first, last = (round((at - frames.start_s) / frames.step_s) for at in (turn.start_s, turn.end_s))
        expected = frames.values(turn.speaker)[first:last].mean() / 255
        assert turn.confidence == pytest.approx(expected, abs=0.02)
    long = [turn.confidence or 0.0 for turn in found.turns if turn.end_s - turn.start_s > 1.5]
    assert len(long) >= 3
    assert min(long) > 0.8


def test_frames_cover_the_recording(found: DiarizationResult, conversation: Waveform) -> None:
    frames = found.frames
    assert frames is not None
    assert set(frames.packed) == set(found.speakers)
    for speaker in found.speakers:
        last_s = frames.start_s + frames.step_s * (len(frames.values(speaker)) - 1)
        assert len(conversation) / SAMPLE_RATE_HZ == pytest.approx(last_s, abs=0.04)


def test_a_voice_of_the_starter_is_in_the_space_of_its_speaker_encoder(
    found: DiarizationResult, conversation: Waveform
) -> None:
    encoder = CamPlusPlusEncoder(locate(ModelKey.SPEAKER_VOXCELEB, STARTER), "cpu", TORCH)
    assert found.embeddings is not None
    assert set(found.embeddings) == set(found.speakers) == {"SPEAKER_00", "SPEAKER_01"}
    for turn in found.exclusive_turns:
        if turn.end_s - turn.start_s < 1.5:
            continue
        clip = conversation[int(turn.start_s * SAMPLE_RATE_HZ) : int(turn.end_s * SAMPLE_RATE_HZ)]
        (voice,) = encoder([clip])
        similar = {
            name: float(own.vector @ voice.normalized().vector) for name, own in found.embeddings.items()
        }
        assert max(similar, key=lambda name: similar[name]) == turn.speaker
        assert similar[turn.speaker] > 0.7
        for own in found.embeddings.values():
            assert (own.model, own.revision) == (voice.model, voice.revision)
            assert np.linalg.norm(own.vector) == pytest.approx(1.0, abs=1e-5)


def test_a_voice_is_the_mean_of_long_enough_turns_if_there_are_any() -> None:
    speech = np.zeros((3, 589, 3), np.float32)
    speech[0, :300, 0] = speech[1, :50, 0] = speech[2, :50, 0] = speech[2, 100:150, 1] = 1
    windows, speakers = np.nonzero(speech.any(axis=1))
    embeddings = np.array([[3, 0], [0, 5], [0, 2], [np.nan, 1]], np.float32)
    outputs = outputs_of(speech, windows, speakers, embeddings)

    voices = voices_of(outputs, np.array([0, 0, 1, 2]))

    assert {cluster: voice.tolist() for cluster, voice in voices.items()} == {0: [1, 0], 1: [0, 1]}
    assert list(voices_of(outputs, np.array([0, 0, UNASSIGNED, 1]))) == [0]


def test_silence_has_neither_voices_nor_frames(diarizer: CamPlusPlusDiarizer) -> None:
    found = diarizer(np.zeros(SAMPLE_RATE_HZ, np.float32), SpeakerCount())

    assert (found.embeddings, found.frames) == ({}, None)
