"""Recordings whose channels are diarized separately."""

from typing import Any

import clips
import httpx2
import numpy as np
import pytest

from config.settings import AudioLimits


def stereo(channels: int = 2, container: str = "WAV") -> bytes:
    """Return tones of another pitch in each channel."""
    tones = [clips.tone(2.0, 16_000, 1, 220.0 * (1 + index))[:, 0] for index in range(channels)]
    subtype = "PCM_16" if container == "WAV" else None
    return clips.soundfile_bytes(np.stack(tones, axis=1), 16_000, container, subtype)


async def post(
    client: httpx2.AsyncClient, recording: bytes, expected: int = 200, **options: Any
) -> dict[str, Any]:
    response = await client.post("/diarize", files={"file": ("a.wav", recording)}, **options)
    assert response.status_code == expected, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
async def test_each_channel_is_a_speaker(client: httpx2.AsyncClient, analyzer: Any, container: str) -> None:
    answer = await post(client, stereo(2, container), params={"channels": "separate"})

    assert answer["speakers"] == ["CHANNEL_0", "CHANNEL_1"]
    assert {turn["speaker"] for turn in answer["diarization_results"]} == {"CHANNEL_0", "CHANNEL_1"}
    assert (answer["quality"]["channels"], answer["quality"]["channels_mixed"]) == (2, "separate")
    assert answer["audio_duration"] == 2.0
    for index, waveform in enumerate(analyzer.channels):
        spectrum = np.abs(np.fft.rfft(waveform))
        assert spectrum.argmax() / 2.0 == pytest.approx(220.0 * (1 + index), abs=1.0)


async def test_a_mono_recording_has_one_channel(client: httpx2.AsyncClient, analyzer: Any) -> None:
    answer = await post(client, stereo(1), data={"channels": "separate"})

    assert answer["speakers"] == ["CHANNEL_0"]
    assert answer["quality"]["channels_mixed"] is None
    assert len(analyzer.channels) == 1


async def test_channels_are_mixed_unless_asked(client: httpx2.AsyncClient, analyzer: Any) -> None:
    await post(client, stereo())
    answer = await post(client, stereo(), params={"channels": "mix"})

    assert answer["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert not analyzer.channels


async def test_names_exclusive_turns_and_formats_are_those_of_channels(client: httpx2.AsyncClient) -> None:
    asked = {"channels": "separate", "exclusive": "true", "names": '{"CHANNEL_1": "Agent"}'}
    answer = await post(client, stereo(), params=asked)
    rttm = await client.post("/diarize", content=stereo(), params=asked | {"format": "rttm"})

    ends = [turn["end"] for turn in answer["diarization_results"]]
    starts = [turn["start"] for turn in answer["diarization_results"]]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    assert "CHANNEL_0" in rttm.text


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"channel": "0"}, "channel"),
        ({"num_speakers": "2"}, "num_speakers"),
        ({"min_speakers": "1", "max_speakers": "2"}, "min_speakers and max_speakers"),
        ({"stream": "true"}, "streamed"),
        ({"channels": "both"}, "separate"),
    ],
)
async def test_options_that_contradict_separate_channels_are_422(
    client: httpx2.AsyncClient, options: dict[str, str], word: str
) -> None:
    answer = await post(client, stereo(), 422, params={"channels": "separate"} | options)

    assert word in answer["detail"]


async def test_too_many_channels_are_422(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_separate_channels=2))

    answer = await post(client, stereo(3), 422, params={"channels": "separate"})

    assert "3 channels" in answer["detail"]


async def test_the_channels_leave_the_budget_with_the_request(client_of: Any) -> None:
    client = client_of(limits=AudioLimits(max_audio_s=5.0, max_decoded_s=5.0))

    for _ in range(3):
        await post(client, stereo(2, "FLAC"), params={"channels": "separate"})
    answer = await post(client, stereo(3, "FLAC"), 503, params={"channels": "separate"})
    await post(client, stereo(2, "FLAC"), params={"channels": "separate"})

    assert answer["code"] == "overloaded"
