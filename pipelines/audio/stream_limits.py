"""Limits of a stream that every reader checks before it decodes."""

from config.settings import AudioLimits
from voxgraph.errors import AudioTooLong, UnsupportedAudio


def check_stream(channels: int, rate: int, limits: AudioLimits) -> None:
    """Raise `UnsupportedAudio` for a number of channels, a sampling rate or their product out of range."""
    if not 1 <= channels <= limits.max_channels:
        raise UnsupportedAudio(f"{channels} channels; at most {limits.max_channels} are supported.")
    if not limits.min_sample_rate_hz <= rate <= limits.max_sample_rate_hz:
        raise UnsupportedAudio(
            f"{rate} Hz; {limits.min_sample_rate_hz} to {limits.max_sample_rate_hz} Hz are supported."
        )
    if channels * rate > limits.max_samples_per_s:
        raise UnsupportedAudio(
            f"{channels} channels of {rate} Hz; at most {limits.max_samples_per_s} samples a second of all"
            " channels are supported."
        )


def check_duration(seconds: float, limits: AudioLimits) -> None:
    """Raise `AudioTooLong` beyond the limit."""
    if seconds > limits.max_audio_s:
        raise AudioTooLong(f"The recording is longer than the maximum of {limits.max_audio_s:g} s.")
