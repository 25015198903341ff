"""Who spoke when: pyannote's pipeline, built from data alone, its windows apart from its clustering."""

from pipelines.diarization.diarizer import Diarizer
from pipelines.diarization.networks import build_embedding, build_segmentation

__all__ = ["Diarizer", "build_embedding", "build_segmentation"]
