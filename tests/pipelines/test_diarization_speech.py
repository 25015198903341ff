"""How many seconds of a recording are speech, by the starter's segmentation."""

import numpy as np
import pytest
import sounds
from recordings import DATA

from config.settings import AudioLimits, CheckpointSource, EngineOptions
from pipelines.audio.decoding import decode
from pipelines.checkpoints import locate
from pipelines.diarization.campplus_diarizer import CamPlusPlusDiarizer
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

STARTER = CheckpointSource(source="starter")


@pytest.fixture(scope="module")
def diarizer() -> CamPlusPlusDiarizer:
    checkpoint = locate(ModelKey.DIARIZATION_COMMUNITY_1, STARTER)
    return CamPlusPlusDiarizer(checkpoint, "cpu", EngineOptions(engine="torch"))


@pytest.fixture(scope="module")
def conversation() -> Waveform:
    return decode((DATA / "conversation.flac").read_bytes(), AudioLimits())


def test_the_speech_of_a_conversation_is_that_of_its_turns(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform
) -> None:
    expected = diarizer(conversation, SpeakerCount()).speech_s

    assert diarizer.speech_seconds(conversation) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("level", [1.0, 0.01])
@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0])
def test_a_word_is_speech_however_quiet(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform, seconds: float, level: float
) -> None:
    start = 7 * SAMPLE_RATE_HZ
    word = conversation[start : start + round(seconds * SAMPLE_RATE_HZ)] * np.float32(level)

    assert 0.5 * seconds < diarizer.speech_seconds(word) <= seconds


@pytest.mark.parametrize("sound", [sounds.silence, sounds.white_noise, sounds.pink_noise, sounds.beeps])
@pytest.mark.parametrize("seconds", [1.0, 12.0])
def test_noise_is_no_speech(diarizer: CamPlusPlusDiarizer, sound: object, seconds: float) -> None:
    assert diarizer.speech_seconds(sound(seconds)) < 0.05  # type: ignore[operator]


def test_what_two_windows_hear_counts_once(diarizer: CamPlusPlusDiarizer, conversation: Waveform) -> None:
    ten, twelve = (conversation[: seconds * SAMPLE_RATE_HZ] for seconds in (10, 12))

    assert 0 <= diarizer.speech_seconds(twelve) - diarizer.speech_seconds(ten) <= 2.1


def test_a_batch_of_windows_finds_what_one_after_the_other_does(
    diarizer: CamPlusPlusDiarizer, conversation: Waveform
) -> None:
    together = diarizer.speech_seconds(conversation[: 20 * SAMPLE_RATE_HZ])
    parts = [conversation[:160_000], conversation[160_000:320_000]]

    assert together == pytest.approx(sum(map(diarizer.speech_seconds, parts)), abs=0.05)
