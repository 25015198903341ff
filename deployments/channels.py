"""Diarize each channel of a recording as one speaker. No Ray."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from config.settings import AudioLimits
from pipelines.audio.bleed import copied_blocks, silenced
from voxgraph.errors import InvalidOptions
from voxgraph.options import SpeakerCount
from voxgraph.results import DiarizationResult, Waveform

ONE_SPEAKER = SpeakerCount(num_speakers=1)


async def diarize_each(
    channels: Sequence[Waveform],
    limits: AudioLimits,
    diarize: Callable[[Waveform], Awaitable[DiarizationResult]],
) -> DiarizationResult:
    """Diarize the channels one after the other, so that a recording with many does not starve others.

    Args:
        channels: Valid waveforms of one length.
        limits: `AudioLimits.max_separate_channels` is heeded.
        diarize: Finds the turns of a channel as those of one speaker.

    Raises:
        InvalidOptions: There are no channels or too many, or they differ in length.
    """
    if len(channels) > limits.max_separate_channels:
        raise InvalidOptions(
            f"{len(channels)} channels; at most {limits.max_separate_channels} are diarized apart."
        )
    if not channels or len({len(channel) for channel in channels}) > 1:
        raise InvalidOptions("The channels of a recording have one length, and there is at least one.")
    copied = await asyncio.to_thread(copied_blocks, channels)
    found = [
        await diarize(silenced(channel, blocks)) for channel, blocks in zip(channels, copied, strict=True)
    ]
    return DiarizationResult.of_channels(found)
