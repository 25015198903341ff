"""Who spoke when: pyannote's pipeline, built from data alone, its windows apart from its clustering."""

import os

# pyannote.audio starts an exporter to its makers' server at import: it must find this before.
os.environ["PYANNOTE_METRICS_ENABLED"] = "false"

from pipelines.diarization.diarizer import Diarizer
from pipelines.diarization.networks import build_embedding, build_segmentation

__all__ = ["Diarizer", "build_embedding", "build_segmentation"]
