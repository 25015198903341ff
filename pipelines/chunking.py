"""Cut a long clip into chunks to score, and a conversation into parts that share its sliding windows."""

import math

from voxgraph.errors import InvalidOptions
from voxgraph.options import ChunkOptions
from voxgraph.results import SAMPLE_RATE_HZ

CONVERSATION_WINDOW, CONVERSATION_HOP = 160_000, 16_000
"""Length and hop of pyannote's sliding window, in samples."""
PART_WINDOWS = 16
"""Windows in one part: a multiple of the segmentation batch size, so that parts give the same numbers as the
whole, and few, so that replicas finish together and the next request waits two seconds instead of four."""

SPEECH_PART_WINDOWS = 2
"""Windows in one part of a recording in which only speech is looked for: 20 s, a tenth of a second of a core,
and little enough to send past the object store."""
MAX_SPEECH_PARTS = 24
"""Most parts in which speech is looked for: 8 min. In a longer recording, they are spread over it."""

MAX_CHUNKS = 15_000
"""Most chunks of one recording: four hours in chunks of a second. The answer about a chunk takes 10 us of the
event loop, so that the 144,000 of an overlap of 0.9 kept everybody else waiting for 2.6 s."""


def spans(samples: int, chunk: int, hop: int) -> list[tuple[int, int]]:
    """Cut a clip into overlapping chunks of one length.

    Args:
        samples: Length of the clip, > 0.
        chunk: Length of a chunk in samples, > 0.
        hop: Distance between the starts of two chunks in samples, 1..chunk.

    Returns:
        (start, end) in samples, sorted by start. A clip of at most one chunk is one span. For a longer clip,
        every span has `chunk` samples and the last ends at `samples`, so it may overlap its neighbour more.
    """
    if samples <= chunk:
        return [(0, samples)]
    starts = list(range(0, samples - chunk + 1, hop))
    if starts[-1] + chunk < samples:
        starts.append(samples - chunk)
    return [(start, start + chunk) for start in starts]


def chunk_spans(samples: int, options: ChunkOptions) -> list[tuple[int, int]]:
    """Return the `spans` of a 16 kHz clip of `samples` > 0 for a chunk length in seconds and an overlap.

    Raises:
        InvalidOptions: There would be more than `MAX_CHUNKS`.
    """
    chunk = round(options.chunk_s * SAMPLE_RATE_HZ)
    hop = max(1, round(chunk * (1 - options.overlap)))
    if math.ceil((samples - chunk) / hop) + 1 > MAX_CHUNKS:
        cut = f"chunks of {options.chunk_s:g} s that overlap by {options.overlap:g}"
        raise InvalidOptions(
            f"A recording of {samples / SAMPLE_RATE_HZ:.0f} s in {cut} has more than {MAX_CHUNKS} of them; "
            "choose longer chunks or less overlap."
        )
    return spans(samples, chunk, hop)


def conversation_parts(samples: int) -> list[tuple[int, int]]:
    """Cut a conversation into parts whose sliding windows can be computed independently.

    Args:
        samples: Length of the conversation, > 0.

    Returns:
        (start, end) in samples, sorted by start. The windows of the parts, concatenated, are those of the
        whole. Each part has `PART_WINDOWS` windows, the last part the remainder.
    """
    step = PART_WINDOWS * CONVERSATION_HOP
    length = step - CONVERSATION_HOP + CONVERSATION_WINDOW
    parts = [(0, min(length, samples))]
    while parts[-1][1] < samples:
        start = parts[-1][0] + step
        parts.append((start, min(start + length, samples)))
    return parts


def speech_parts(samples: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Cut a recording into the parts in which speech is looked for, and the rest.

    Args:
        samples: Length of the recording, > 0.

    Returns:
        (start, end) in samples of at most `MAX_SPEECH_PARTS` parts, sorted by start, without overlap; and of
        all other parts, which matter only if there is no speech in the first. The last part of the recording
        has at least one window, or is the whole recording.
    """
    length = SPEECH_PART_WINDOWS * CONVERSATION_WINDOW
    bounds = [*range(0, samples - CONVERSATION_WINDOW + 1, length)] or [0]
    parts = list(zip(bounds, [*bounds[1:], samples], strict=True))
    if len(parts) <= MAX_SPEECH_PARTS:
        return parts, []
    last = len(parts) - 1
    chosen = {number * last // (MAX_SPEECH_PARTS - 1) for number in range(MAX_SPEECH_PARTS)}
    return (
        [part for number, part in enumerate(parts) if number in chosen],
        [part for number, part in enumerate(parts) if number not in chosen],
    )
