"""Whether somebody speaks: the segmentation, the samples, and what happens where one of them is missing."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import sounds
from recordings import DATA

from config.settings import AudioLimits, IngressTunables
from deployments.speech import Listener, require_speech
from pipelines.audio.decoding import decode
from pipelines.chunking import MAX_SPEECH_PARTS, speech_parts
from voxgraph.errors import DeadlineExceeded, ModelUnavailable, NoSpeech
from voxgraph.results import SAMPLE_RATE_HZ, AccentResult

VOICE = decode((DATA / "voice.wav").read_bytes(), AudioLimits())
Ask = Callable[[Any, Sequence[tuple[int, int]], None], Any]


async def speech_s(ask: Ask, waveform: np.ndarray, **tunables: float) -> float | None:
    listener: Listener[np.ndarray, None] = Listener(ask, lambda: IngressTunables(**tunables))  # type: ignore[arg-type]
    return await listener.speech_s(waveform, waveform, None)


def finding(seconds: Callable[[int, int], float]) -> Ask:
    async def ask(_clip: Any, spans: Sequence[tuple[int, int]], _deadline: None) -> list[float]:
        return [seconds(start, end) for start, end in spans]

    return ask


def raising(error: Exception) -> Ask:
    async def ask(*_: Any) -> list[float]:
        raise error

    return ask


async def test_what_the_segmentation_finds_is_the_answer() -> None:
    assert await speech_s(finding(lambda start, end: 1.5), VOICE) == pytest.approx(1.5)


async def test_less_than_the_limit_is_no_speech() -> None:
    assert await speech_s(finding(lambda start, end: 0.04), VOICE) == 0.0
    assert await speech_s(finding(lambda start, end: 0.04), VOICE, min_speech_s=0.0) == pytest.approx(0.04)


async def test_a_word_in_which_the_segmentation_hears_nothing_is_not_refused() -> None:
    word = VOICE[: SAMPLE_RATE_HZ // 2]

    assert await speech_s(finding(lambda start, end: 0.0), word) is None
    assert await speech_s(finding(lambda start, end: 0.0), VOICE) == 0.0
    assert await speech_s(finding(lambda start, end: 0.0), sounds.silence(0.5)) == 0.0


async def test_digital_silence_in_a_long_recording_is_not_asked_about() -> None:
    asked = list[tuple[int, int]]()

    async def ask(_clip: Any, spans: Sequence[tuple[int, int]], _deadline: None) -> list[float]:
        asked.extend(spans)
        return [0.0] * len(spans)

    silent = sounds.silence(3600)
    first, rest = speech_parts(len(silent))
    assert await speech_s(ask, silent) == 0.0
    assert asked == first

    asked.clear()
    silent[rest[7][0] + 100] = 1e-4
    assert await speech_s(ask, silent) == 0.0
    assert asked == [*first, rest[7]]


async def test_tones_are_no_speech_even_if_the_segmentation_finds_a_voice() -> None:
    assert await speech_s(finding(lambda start, end: 3.0), sounds.melody()) == 0.0
    assert await speech_s(finding(lambda start, end: 3.0), sounds.melody(), min_gliding_share=0.0) == 3.0


@pytest.mark.parametrize(
    "sound", [sounds.silence, sounds.white_noise, sounds.tone, sounds.ringing, sounds.melody, sounds.beeps]
)
async def test_without_the_segmentation_silence_steady_noise_and_tones_have_no_speech(sound: Any) -> None:
    assert await speech_s(raising(ModelUnavailable("gone")), sound()) == 0.0


async def test_without_the_segmentation_nobody_can_tell_how_long_a_voice_speaks() -> None:
    assert await speech_s(raising(ModelUnavailable("gone")), VOICE) is None


async def test_a_deadline_is_no_missing_model() -> None:
    with pytest.raises(DeadlineExceeded):
        await speech_s(raising(DeadlineExceeded("late")), VOICE)


async def test_of_an_hour_some_minutes_are_asked_and_the_rest_is_estimated() -> None:
    hour, asked = np.resize(VOICE, 3600 * SAMPLE_RATE_HZ), list[tuple[int, int]]()

    def half(start: int, end: int) -> float:
        asked.append((start, end))
        return (end - start) / 2 / SAMPLE_RATE_HZ

    assert await speech_s(finding(half), hour) == pytest.approx(1800)
    assert len(asked) == MAX_SPEECH_PARTS


async def test_a_sentence_in_an_hour_is_found_wherever_it_is() -> None:
    hour = np.resize(VOICE, 3600 * SAMPLE_RATE_HZ)
    _, rest = speech_parts(len(hour))
    place = rest[len(rest) // 2]

    assert await speech_s(finding(lambda start, end: 2.0 * ((start, end) == place)), hour) == 2.0


@pytest.mark.parametrize(("seconds", "allowed"), [(1.0, False), (None, False), (0.0, True)])
def test_a_result_is_answered_if_there_is_speech_or_nobody_minds(
    seconds: float | None, allowed: bool
) -> None:
    result = AccentResult("us", 1.0, 1.0, {"us": 1.0}, speech_s=seconds)

    assert require_speech(result, allowed) is result


def test_a_result_about_nobodys_speech_is_refused() -> None:
    with pytest.raises(NoSpeech, match="allow_no_speech"):
        require_speech(AccentResult("us", 1.0, 1.0, {"us": 1.0}, speech_s=0.0), allow_no_speech=False)
