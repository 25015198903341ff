"""Channels that are diarized separately, without a cluster."""

import numpy as np
import pytest

from config.settings import AudioLimits
from deployments.channels import diarize_each
from voxgraph.errors import InvalidOptions
from voxgraph.results import DiarizationResult, Embedding, FrameConfidence, Turn, Waveform

LIMITS = AudioLimits(max_separate_channels=2)
VECTOR = np.ones(4, np.float32)


def loud(seconds: float) -> Waveform:
    """Return noise, another one for each length."""
    generator = np.random.default_rng(round(1000 * seconds))
    return generator.normal(size=int(16_000 * seconds)).astype(np.float32)


def talking(*spans: tuple[float, float]) -> DiarizationResult:
    turns = tuple(Turn(start, end, "SPEAKER_00", 0.9) for start, end in spans)
    if not turns:
        return DiarizationResult((), (), (), speakers_requested=1, speakers_note="No speech.", embeddings={})
    frames = FrameConfidence.pack(0.031, 0.017, {"SPEAKER_00": np.array([1, 2], np.uint8)})
    voices = {"SPEAKER_00": Embedding(VECTOR, "some/encoder", "abc")}
    return DiarizationResult(turns, turns, ("SPEAKER_00",), 1, embeddings=voices, frames=frames)


async def answer(*results: DiarizationResult) -> DiarizationResult:
    left = list(results)

    async def diarize(_: Waveform) -> DiarizationResult:
        return left.pop(0)

    limits = AudioLimits(max_separate_channels=3)
    return await diarize_each([loud(1.0) for _ in results], limits, diarize)


async def test_the_turns_of_a_channel_carry_its_name_and_may_overlap_those_of_others() -> None:
    found = await answer(talking((0.5, 2.0), (4.0, 5.0)), talking(), talking((1.5, 3.0)))

    assert found.turns == (
        Turn(0.5, 2.0, "CHANNEL_0", 0.9), Turn(1.5, 3.0, "CHANNEL_2", 0.9), Turn(4.0, 5.0, "CHANNEL_0", 0.9),
    )  # fmt: skip
    assert found.speakers == ("CHANNEL_0", "CHANNEL_2")
    assert (found.speakers_requested, found.speakers_note) == (None, None)
    assert found.embeddings is not None
    assert set(found.embeddings) == {"CHANNEL_0", "CHANNEL_2"}
    assert found.frames is not None
    assert found.frames.values("CHANNEL_2").tolist() == [1, 2]


async def test_exclusive_turns_leave_an_overlap_to_the_channel_that_began_first() -> None:
    found = await answer(talking((0.5, 4.0), (6.0, 7.0)), talking((1.0, 2.0), (3.0, 5.0)))

    spans = [(turn.start_s, turn.end_s, turn.speaker) for turn in found.exclusive_turns]
    assert spans == [(0.5, 4.0, "CHANNEL_0"), (4.0, 5.0, "CHANNEL_1"), (6.0, 7.0, "CHANNEL_0")]


async def test_silent_channels_have_no_turns() -> None:
    found = await answer(talking(), talking())

    assert (found.turns, found.speakers, found.embeddings, found.frames) == ((), (), {}, None)


async def test_a_copy_of_another_channel_is_silence_to_the_diarizer() -> None:
    heard: list[Waveform] = []

    async def diarize(channel: Waveform) -> DiarizationResult:
        heard.append(channel)
        return talking()

    original = loud(1.0)
    await diarize_each([original, 0.1 * original], LIMITS, diarize)

    assert heard[0] is original
    assert not heard[1].any()


@pytest.mark.parametrize("channels", [[], [loud(1.0), loud(2.0)], [loud(1.0)] * 3])
async def test_channels_that_are_not_of_one_recording_are_refused(channels: list[Waveform]) -> None:
    async def diarize(_: Waveform) -> DiarizationResult:
        raise AssertionError("not asked")

    with pytest.raises(InvalidOptions, match="channels"):
        await diarize_each(channels, LIMITS, diarize)
