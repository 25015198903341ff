"""Diarize conversations with pyannote's pipeline, built without executing code of a checkpoint.

The networks run separately from the clustering, so that several replicas can share one recording. Each module
names the functions of pyannote.audio 4.0 that it mirrors.
"""

from pipelines.diarization.diarizer import Diarizer
from pipelines.diarization.networks import build_embedding, build_segmentation

__all__ = ["Diarizer", "build_embedding", "build_segmentation"]
