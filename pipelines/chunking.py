"""Spans of a long clip: chunks that are scored, and parts whose sliding windows are those of the whole."""

from voxgraph.options import ChunkOptions
from voxgraph.results import SAMPLE_RATE_HZ

CONVERSATION_WINDOW, CONVERSATION_HOP = 160_000, 16_000
"""Samples of pyannote's sliding window and from one to the next."""
PART_WINDOWS = 16
"""Windows of one part: whole batches of the segmentation, so that parts and whole are computed alike, and
few, so that replicas finish together and whoever comes next waits two seconds, not four."""


def spans(samples: int, chunk: int, hop: int) -> list[tuple[int, int]]:
    """Cut a clip into overlapping chunks of one length.

    Args:
        samples: Length of the clip, > 0.
        chunk: Length of a chunk in samples, > 0.
        hop: Distance between the starts of two chunks in samples, 1..chunk.

    Returns:
        (start, end) in samples, by start. A clip of at most one chunk is one span; of a longer one every
        span has `chunk` samples, and the last, which may overlap its neighbour more, ends at `samples`.
    """
    if samples <= chunk:
        return [(0, samples)]
    starts = list(range(0, samples - chunk + 1, hop))
    if starts[-1] + chunk < samples:
        starts.append(samples - chunk)
    return [(start, start + chunk) for start in starts]


def chunk_spans(samples: int, options: ChunkOptions) -> list[tuple[int, int]]:
    """The `spans` of a clip at 16 kHz, > 0 samples long, by seconds and overlap."""
    chunk = round(options.chunk_s * SAMPLE_RATE_HZ)
    return spans(samples, chunk, max(1, round(chunk * (1 - options.overlap))))


def conversation_parts(samples: int) -> list[tuple[int, int]]:
    """Cut a conversation where its sliding windows can be looked at apart.

    Args:
        samples: Length of the conversation, > 0.

    Returns:
        (start, end) in samples, by start: the windows of the parts, one after the other, are the windows of
        the whole. Each part has `PART_WINDOWS`, the last those that are left.
    """
    step = PART_WINDOWS * CONVERSATION_HOP
    length = step - CONVERSATION_HOP + CONVERSATION_WINDOW
    parts = [(0, min(length, samples))]
    while parts[-1][1] < samples:
        start = parts[-1][0] + step
        parts.append((start, min(start + length, samples)))
    return parts
