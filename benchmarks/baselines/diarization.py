"""Diarization with the pipeline of pyannote.audio, as its model card shows."""

from pathlib import Path
from typing import Any

import soundfile
import torch
from pyannote.audio import Pipeline

from voxgraph.options import ModelKey


class Diarization:
    """The stock pipeline from a local folder."""

    def __init__(self, folder: Path) -> None:
        self._pipeline = Pipeline.from_pretrained(str(folder / ModelKey.DIARIZATION_COMMUNITY_1))

    def diarize(self, path: str) -> dict[str, Any]:
        """Return the turns of a file."""
        # Given a path, pyannote decodes every window separately with an installed ffmpeg; memory is faster.
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        output = self._pipeline({"waveform": torch.from_numpy(samples.T.copy()), "sample_rate": rate})
        turns = [
            {"start": turn.start, "end": turn.end, "speaker": speaker}
            for turn, speaker in output.speaker_diarization
        ]
        return {"diarization_results": turns}
