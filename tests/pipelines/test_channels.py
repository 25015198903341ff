"""Recordings of 1 to 24 channels decode in every container and codec, each in its own process."""

import subprocess
import sys

import clips
import numpy as np
import pytest
from launched import ROOT

RATE_HZ = 48_000
ENCODERS = {
    ("wav", "pcm_s16le"): 24,
    ("w64", "pcm_s24le"): 24,
    ("aiff", "pcm_s16be"): 24,
    ("flac", "flac"): 8,
    ("mp3", "libmp3lame"): 2,
    ("adts", "aac"): 8,
    ("ogg", "libopus"): 8,
    ("mp4", "aac"): 8,
    ("mp4", "libopus"): 8,
    ("mp4", "ac3"): 6,
    ("mp4", "eac3"): 6,
    ("mp4", "libmp3lame"): 2,
    ("mov", "pcm_s16le"): 24,
    ("mov", "pcm_f32le"): 24,
    ("mov", "pcm_alaw"): 24,
    ("matroska", "aac"): 8,
    ("matroska", "libopus"): 8,
    ("matroska", "ac3"): 6,
    ("matroska", "pcm_s16le"): 24,
    ("matroska", "pcm_f32le"): 24,
    ("matroska", "pcm_s24le"): 24,
    ("matroska", "tta"): 16,
    ("matroska", "wavpack"): 24,
}
"""Maximum channels, up to 24, that FFmpeg encodes and decodes, by container and encoder."""
DECODE = """
import sys
from pathlib import Path

from config.settings import AudioLimits
from pipelines.audio.decoding import decode

for path in sorted(Path(sys.argv[1]).iterdir()):
    decode(path.read_bytes(), AudioLimits()).tofile(Path(sys.argv[2]) / path.name)
"""


@pytest.mark.parametrize(("container", "codec"), ENCODERS)
def test_any_number_of_channels_is_averaged_to_mono(container: str, codec: str, tmp_path) -> None:
    sources, targets = tmp_path / "encoded", tmp_path / "decoded"
    sources.mkdir()
    targets.mkdir()
    counts = range(1, ENCODERS[container, codec] + 1)
    for channels in counts:
        tone = clips.tone(1.0, RATE_HZ, channels)
        (sources / f"{channels:02}").write_bytes(clips.ffmpeg_bytes(tone, RATE_HZ, container, codec))

    command = [sys.executable, "-c", DECODE, str(sources), str(targets)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)

    for channels in counts:
        waveform = np.fromfile(targets / f"{channels:02}", np.float32)
        assert len(waveform) == pytest.approx(16_000, abs=16_000 * 0.1)
        middle = waveform[4_000:12_000]
        spectrum = np.abs(np.fft.rfft(middle))
        assert abs(int(spectrum.argmax()) - 220) <= 1, channels
        # With many channels, lossy codecs encode the one for low frequencies with few bits.
        assert np.sqrt((middle**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.4), channels
