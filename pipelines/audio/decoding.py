"""Decode recordings of any container, codec, sample rate and channel count to 16 kHz mono, in memory.

It takes the bytes of an upload; everything after it uses `Waveform`. `formats` names the containers, `parts`
splits an upload into the files that it joins, `extents` finds where each ends, `sound_file` and `ffmpeg` read
them, `timeline` places frames by their timestamps, and `mixing` makes one channel of many.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import soxr

from config.settings import AudioLimits
from pipelines.audio import ffmpeg, riff, sound_file
from pipelines.audio.blocks import Block, Blocks
from pipelines.audio.mixing import Mixer
from pipelines.audio.parts import Part, split
from pipelines.audio.quality import measure
from pipelines.audio.spans import Findings, Span, joined, silence
from pipelines.audio.stream_limits import check_duration
from pipelines.levels import check_level
from voxgraph.errors import AudioTooShort, CorruptAudio, EmptyAudio, UnsupportedAudio
from voxgraph.results import SAMPLE_RATE_HZ, Quality, Waveform

ProgressCallback = Callable[[float], None]
"""A function that takes the seconds of audio that a recording has, or has so far."""

QUICK_BYTES = 1 << 19
"""Maximum size in bytes of a recording that `is_quick`."""
_BLOCK_S = 4.0
"""Seconds of audio that are resampled at once."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A decoded upload."""

    waveform: Waveform
    """Float32, shape (samples,), mono, 16 kHz, finite."""
    quality: Quality
    """How well it can be heard; nobody has looked for speech yet."""


def decode(data: bytes, limits: AudioLimits, on_progress: ProgressCallback = lambda _: None) -> Waveform:
    """Decode a recording to its waveform; `decode_recording` has arguments and errors."""
    return decode_recording(data, limits, on_progress).waveform


def decode_recording(
    data: bytes,
    limits: AudioLimits,
    on_progress: ProgressCallback = lambda _: None,
    channel: int | None = None,
    blocks: Blocks | None = None,
) -> Recording:
    """Decode a recording.

    Reads the containers of `pipelines.audio.formats`, detected by their content. Files that are joined in one
    upload are decoded one by one. Time is the file's: what is missing between its packets is silence, and
    so is a damaged packet. The channels are averaged, or the loudest is taken where they cancel; the level is
    kept, even of float samples beyond full scale. Decodes in blocks, so it needs memory for the result and a
    few more seconds.

    Args:
        data: The content of the file.
        limits: A recording beyond any of these limits is refused.
        on_progress: Called before each block of a few seconds is stored, with the seconds of audio that the
            recording has, or has so far; an exception that it raises stops the decoding.
        channel: The channel to take, from 0; None: all of them, mixed.
        blocks: Keeps the blocks until the waveform is whole. None: in this process's memory.

    Raises:
        EmptyAudio: No bytes or no samples.
        UnsupportedAudio: No supported container or codec, no audio stream, too many channels, no such
            channel, or a sample rate or level out of range.
        CorruptAudio: Truncated (see `pipelines.audio.extents`), or damaged beyond
            `AudioLimits.max_damaged_share`.
        AudioTooShort: Shorter than `AudioLimits.min_audio_s`.
        AudioTooLong: Longer than `AudioLimits.max_audio_s`.
        NonFiniteAudio: NaN or infinite samples.
    """
    if not data:
        raise EmptyAudio("The recording is empty: 0 bytes.")
    parts = split(data, limits)
    blocks = Blocks() if blocks is None else blocks
    decoder = _Decoder(parts, limits, on_progress, channel, blocks)
    findings, mixer = decoder.run(Mixer())
    if cancelled := mixer.loudest_of_cancelled():
        findings, _ = decoder.run(Mixer(cancelled))
    waveform = blocks.waveform()
    _check_result(waveform, findings, limits)
    mixed = "loudest" if cancelled else "mean"
    if channel is not None:
        mixed = f"channel {channel}"
    return Recording(waveform, _quality(waveform, findings, mixed, mixer))


def is_quick(data: bytes) -> bool:
    """Whether decoding takes less than a millisecond, so that a thread would cost more than it saves.

    True for a small WAV of 16-bit PCM at 16 kHz with few chunks; thousands of empty ones take 40 ms.
    """
    plain = riff.plain_pcm(data) if len(data) <= QUICK_BYTES else None
    return plain is not None and plain.sample_rate == SAMPLE_RATE_HZ


class _Decoder:
    """Decodes the files of an upload, once or, where channels cancel, twice."""

    def __init__(
        self,
        parts: list[Part],
        limits: AudioLimits,
        on_progress: ProgressCallback,
        channel: int | None,
        blocks: Blocks,
    ) -> None:
        self._parts = parts
        self._limits = limits
        self._on_progress = on_progress
        self._channel = channel
        self._blocks = blocks
        self._reported_s = 0.0

    def run(self, mixer: Mixer) -> tuple[Findings, Mixer]:
        """Store the blocks; return what was found, and the mixer with the energies."""
        findings = Findings()
        self._blocks.truncate(0)
        for part in self._parts:
            before, kept = len(self._blocks), replace(findings)
            try:
                self._part(part, mixer, findings, before / SAMPLE_RATE_HZ, sound_file.reads(part))
            except sound_file.NotRead:
                findings = kept
                self._blocks.truncate(before)
                self._part(part, mixer, findings, before / SAMPLE_RATE_HZ, False)
        return findings, mixer

    def _report(self, seconds: float) -> None:
        """Report the seconds that the recording has, unless more were reported before."""
        if seconds > self._reported_s:
            self._reported_s = seconds
            self._on_progress(seconds)

    def _part(
        self, part: Part, mixer: Mixer, findings: Findings, before_s: float, by_sound_file: bool
    ) -> None:
        reader = sound_file.read if by_sound_file else ffmpeg.read
        findings.stated_s = 0.0
        spans = self._checked(joined(reader(part, self._limits, findings)), findings, before_s)
        if part.lost_s:
            spans = _after_silence(part.lost_s, spans, findings)
        for block in self._resampled(spans, mixer, before_s):
            self._blocks.append(block)

    def _checked(self, spans: Iterator[Span], findings: Findings, before_s: float) -> Iterator[Span]:
        """Note length, rate, channels and clipping, and take the caller's channel."""
        for span in spans:
            channels = span.samples.shape[1]
            findings.sample_rate = max(findings.sample_rate, span.sample_rate)
            findings.channels = max(findings.channels, channels)
            self._report(before_s + findings.stated_s)
            if self._channel is not None:
                if self._channel >= channels:
                    raise UnsupportedAudio(
                        f"There is no channel {self._channel}: the recording has {channels}, counted from 0."
                    )
                span = Span(span.samples[:, self._channel : self._channel + 1], span.sample_rate)
            findings.count(span.samples)
            yield span

    def _resampled(self, spans: Iterator[Span], mixer: Mixer, before_s: float) -> Iterator[Block]:
        """Collect small spans into blocks and resample them to 16 kHz mono."""
        pending, pending_s, seconds, rate = list[Block](), 0.0, before_s, 0
        resample: Callable[[Block, bool], Block] | None = None
        for span in spans:
            if span.sample_rate != rate:
                if resample is not None:
                    yield resample(_concatenated(pending), True)
                    pending, pending_s = [], 0.0
                rate, resample = span.sample_rate, _resampler(span.sample_rate)
            block = mixer(span.samples)
            check_level(block, self._limits)
            pending.append(block)
            seconds += len(block) / rate
            pending_s += len(block) / rate
            check_duration(seconds, self._limits)
            if pending_s >= _BLOCK_S:
                self._report(seconds)
                assert resample is not None
                yield resample(_concatenated(pending), False)
                pending, pending_s = [], 0.0
        if resample is not None:
            self._report(seconds)
            yield resample(_concatenated(pending), True)


def _quality(waveform: Waveform, findings: Findings, mixed: str, mixer: Mixer) -> Quality:
    measured = measure(waveform)
    return Quality(
        duration_s=len(waveform) / SAMPLE_RATE_HZ,
        clipped_ratio=findings.clipped_ratio,
        snr_db=measured.snr_db,
        bandwidth_hz=measured.bandwidth_hz,
        sample_rate=findings.sample_rate,
        channels=findings.channels,
        channels_mixed=mixed if findings.channels > 1 else None,
        channels_differ=mixer.differs,
        missing_s=findings.missing_s,
        damaged_s=findings.damaged_s,
    )


def _check_result(waveform: Waveform, findings: Findings, limits: AudioLimits) -> None:
    if len(waveform) == 0:
        raise EmptyAudio("The recording has no samples.")
    seconds = len(waveform) / SAMPLE_RATE_HZ
    if seconds < limits.min_audio_s:
        raise AudioTooShort(f"{seconds:.3f} s of audio; at least {limits.min_audio_s:g} s are needed.")
    if findings.damaged_s > limits.max_damaged_share * seconds:
        raise CorruptAudio(f"{findings.damaged_s:.2f} of {seconds:.2f} s of the recording are damaged.")


def _after_silence(seconds: float, spans: Iterator[Span], findings: Findings) -> Iterator[Span]:
    """Put the damaged seconds before the first span."""
    first = next(spans, None)
    if first is None:
        return
    findings.damaged_s += seconds
    yield from silence(seconds, first.sample_rate, first.samples.shape[1])
    yield first
    yield from spans


def _concatenated(blocks: Iterable[Block]) -> Block:
    return np.concatenate([*blocks, np.empty(0, np.float32)])


def _resampler(rate: int) -> Callable[[Block, bool], Block]:
    """Return a function that takes a block and whether it is the last, and returns it resampled to 16 kHz."""
    if rate == SAMPLE_RATE_HZ:
        return lambda block, _: block
    stream = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(block, last=last)
