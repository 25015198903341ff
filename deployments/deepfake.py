"""From the scores of a recording's chunks to its verdict, with the configured operating points and advice."""

from collections.abc import Sequence
from dataclasses import replace

from config.checkpoints import CHECKPOINTS
from config.settings import GraphSettings, Size
from voxgraph.options import ChunkOptions, ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, DeepfakeChunk, DeepfakeScore, DeepfakeVerdict, OperatingPoints

STARTER_ADVICE = (
    "The starter detector recognises few generators and misses the others, so that it must not decide "
    f"anything. Serve {CHECKPOINTS[ModelKey.DEEPFAKE].hub_id} (source: hub) with operating points that you "
    "have fitted on your own recordings."
)
UNFITTED_ADVICE = (
    "The operating points are defaults that were not fitted on any recordings; set deepfake_points to points "
    "that you have fitted on your own."
)


def conclude(
    spans: Sequence[tuple[int, int]],
    scores: Sequence[DeepfakeScore],
    options: ChunkOptions,
    settings: GraphSettings,
) -> DeepfakeVerdict:
    """Return the verdict on a recording.

    Args:
        spans: First sample and end of each chunk.
        scores: Score of each chunk, with the operating points of its checkpoint.
        options: How the recording was cut.
        settings: The operating points of the configuration take the place of the checkpoint's.
    """
    if (ours := settings.deepfake_points) is not None:
        points = OperatingPoints(ours.ai_generated, ours.no_sign_found, fitted=True)
        scores = [replace(score, points=points) for score in scores]
    chunks = [
        DeepfakeChunk(index, start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, score)
        for index, ((start, end), score) in enumerate(zip(spans, scores, strict=True))
    ]
    return DeepfakeVerdict.from_chunks(chunks, options, _advice(settings, scores[0].points))


def _advice(settings: GraphSettings, points: OperatingPoints) -> str | None:
    if settings.checkpoint(ModelKey.DEEPFAKE).architecture is Size.STARTER:
        return STARTER_ADVICE
    return None if points.fitted else UNFITTED_ADVICE
