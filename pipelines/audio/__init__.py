"""Recordings become waveforms: `decode` reads any container that is known, in memory."""

from pipelines.audio.decoding import decode

__all__ = ["decode"]
