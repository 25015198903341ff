"""Decode recordings of any supported container into waveforms, in memory."""

from pipelines.audio.decoding import decode

__all__ = ["decode"]
