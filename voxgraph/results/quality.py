"""How well a recording can be heard: figures that every answer carries, and what they mean in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voxgraph.results.language import SURE_SPEECH_S

ENOUGH_SPEECH_S = {"an accent": 4.0, "a language": SURE_SPEECH_S, "a voice": 3.0}
"""Seconds of speech from which an answer is as certain as the cards of the starter checkpoints say: their
accent heads were taught with clips of 4 s, and their languages and voices were measured on clips of 3 s."""
MUCH_CLIPPED = 0.001
"""Share of clipped samples from which the clipping is worth a warning."""
LOW_SNR_DB = 10.0
"""Ratio of the sound to the noise below which the noise is worth a warning."""
TELEPHONE_HZ = 4_200
"""Highest frequency of a telephone line, 3.4 kHz nominally, and a little more."""
WIDE_HZ = 16_000
"""Lowest sample rate of a file from which more than a telephone's frequencies are expected."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of one recording; seconds are those of the decoded recording."""

    duration_s: float
    clipped_ratio: float
    """Share of the samples that are at full scale beside another such sample, 0..1."""
    snr_db: float | None
    """Power of the sound that stands out from the noise over that of the noise, at most 60 dB; None if
    nothing stands out, as in steady noise and in silence."""
    bandwidth_hz: int | None
    """Highest frequency with content, at most 8000, since everything is heard at 16 kHz; None for digital
    silence."""
    sample_rate: int
    """Sample rate of the file in Hz, the highest one if it joins several."""
    channels: int
    """Channels of the file, the most if it joins several."""
    channels_mixed: str | None
    """How the channels became one: ``mean``; ``loudest`` where the mean cancels; ``channel 0`` and so on for
    the caller's choice; ``separate`` where each was heard by itself; None for one channel."""
    channels_differ: bool = False
    """Whether the mean of the channels is much weaker than the mean of equal channels would be."""
    missing_s: float = 0.0
    """Seconds between packets for which the file has no samples, as silence."""
    damaged_s: float = 0.0
    """Seconds that could not be decoded, in their place as silence."""
    speech_s: float | None = None
    """Seconds of speech that were found; None if nobody looked, or it cannot be told."""

    @classmethod
    def of_channels(cls, channels: Sequence["Quality"]) -> "Quality":
        """Join the figures of channels that were decoded separately: of each, that of the worst channel."""
        return replace(
            channels[0],
            clipped_ratio=max(channel.clipped_ratio for channel in channels),
            snr_db=min((snr for each in channels if (snr := each.snr_db) is not None), default=None),
            bandwidth_hz=min(
                (hz for each in channels if (hz := each.bandwidth_hz) is not None), default=None
            ),
            channels_mixed="separate" if channels[0].channels > 1 else None,
        )

    def heard(self, speech_s: float | None) -> "Quality":
        """Add the seconds of speech, at most those of the recording."""
        return replace(self, speech_s=None if speech_s is None else min(speech_s, self.duration_s))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes an answer about the recording less certain, each in a sentence with its figure."""
        return (*_of_speech(self), *_of_sound(self), *_of_file(self))


def _of_speech(quality: Quality) -> Iterator[str]:
    speech_s = quality.speech_s
    if speech_s is None:
        return
    if speech_s == 0.0:
        yield "No speech was found."
        return
    uncertain = [question for question, enough_s in ENOUGH_SPEECH_S.items() if speech_s < enough_s]
    if uncertain:
        listed = " or ".join(filter(None, (", ".join(uncertain[:-1]), uncertain[-1])))
        yield f"{speech_s:.1f} s of speech: too short to trust {listed}."


def _of_sound(quality: Quality) -> Iterator[str]:
    if quality.clipped_ratio >= MUCH_CLIPPED:
        yield f"{100 * quality.clipped_ratio:.1f} % of the samples are clipped."
    if quality.snr_db is not None and quality.snr_db < LOW_SNR_DB:
        yield f"The sound is only {quality.snr_db:.0f} dB above the noise."
    highest_hz, rate_hz = quality.bandwidth_hz, quality.sample_rate
    if highest_hz is not None and highest_hz <= TELEPHONE_HZ and rate_hz >= WIDE_HZ:
        yield (
            f"Nothing is above {highest_hz / 1000:.1f} kHz, as on a telephone, though the file has "
            f"{rate_hz / 1000:g} kHz."
        )


def _of_file(quality: Quality) -> Iterator[str]:
    if quality.channels_mixed == "loudest":
        yield f"The {quality.channels} channels cancel each other; only the loudest was heard."
    elif quality.channels_mixed == "mean" and quality.channels_differ:
        yield f"The {quality.channels} channels differ and were averaged; `channel` takes one of them."
    if quality.missing_s:
        yield f"{quality.missing_s:.1f} s are missing from the file and count as silence."
    if quality.damaged_s:
        yield f"{quality.damaged_s:.1f} s are damaged and count as silence."
