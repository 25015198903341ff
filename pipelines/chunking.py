"""Spans of a long clip: all of one length, the last aligned to the end so that nothing is dropped."""


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
