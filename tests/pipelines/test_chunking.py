"""Test the spans of long clips and the parts of conversations."""

from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.chunking import (
    CONVERSATION_HOP,
    CONVERSATION_WINDOW,
    MAX_CHUNKS,
    MAX_SPEECH_PARTS,
    PART_WINDOWS,
    chunk_spans,
    conversation_parts,
    spans,
    speech_parts,
)
from voxgraph.errors import InvalidOptions
from voxgraph.options import ChunkOptions


def test_a_clip_of_at_most_one_chunk_is_one_span() -> None:
    assert spans(7, chunk=10, hop=5) == [(0, 7)]
    assert spans(10, chunk=10, hop=5) == [(0, 10)]


def test_the_last_chunk_is_aligned_to_the_end() -> None:
    assert spans(22, chunk=10, hop=5) == [(0, 10), (5, 15), (10, 20), (12, 22)]


def test_a_minute_in_five_second_chunks_with_half_overlap_is_23_chunks() -> None:
    assert len(spans(60 * 16_000, chunk=5 * 16_000, hop=40_000)) == 23


def test_the_chunks_of_a_recording_have_a_limit() -> None:
    four_hours = 4 * 3600 * 16_000
    assert len(chunk_spans(four_hours, ChunkOptions(1.0, 0.0))) == 14_400
    most = MAX_CHUNKS * 16_000
    assert len(chunk_spans(most, ChunkOptions(1.0, 0.0))) == MAX_CHUNKS
    with pytest.raises(InvalidOptions, match="choose longer chunks or less overlap"):
        chunk_spans(most + 1, ChunkOptions(1.0, 0.0))
    with pytest.raises(InvalidOptions, match=r"14400 s in chunks of 1 s that overlap by 0\.9"):
        chunk_spans(four_hours, ChunkOptions(1.0, 0.9))


@given(st.integers(1, 500), st.integers(1, 60), st.data())
def test_spans_have_one_length_and_drop_nothing(samples: int, chunk: int, data: st.DataObject) -> None:
    hop = data.draw(st.integers(1, chunk))

    found = spans(samples, chunk, hop)

    assert {end - start for start, end in found} == {min(samples, chunk)}
    assert set().union(*(range(start, end) for start, end in found)) == set(range(samples))
    assert all(a[0] < b[0] <= a[0] + hop for a, b in pairwise(found))


def windows_of(start: int, end: int) -> list[int]:
    """Return the starts of the sliding windows of a part, in samples of the whole."""
    rest = max(0, end - start - CONVERSATION_WINDOW)
    return [start + index * CONVERSATION_HOP for index in range(1 + -(-rest // CONVERSATION_HOP))]


@given(st.integers(1, 5_000_000))
def test_the_windows_of_the_parts_of_a_conversation_are_those_of_the_whole(samples: int) -> None:
    parts = conversation_parts(samples)

    found = [windows_of(*part) for part in parts]

    assert list(chain.from_iterable(found)) == windows_of(0, samples)
    assert all(len(windows) == PART_WINDOWS for windows in found[:-1])
    assert parts[-1][1] == samples


@given(st.integers(1, 40 * CONVERSATION_WINDOW * 8))
def test_speech_is_looked_for_in_a_few_parts_that_leave_nothing_out_with_the_rest(samples: int) -> None:
    first, rest = speech_parts(samples)

    every = sorted(first + rest)
    assert [start for start, _ in every] == [0, *(end for _, end in every[:-1])]
    assert every[-1][1] == samples
    assert 1 <= len(first) <= MAX_SPEECH_PARTS
    assert not rest or len(first) == MAX_SPEECH_PARTS
    assert all(end - start >= min(CONVERSATION_WINDOW, samples) for start, end in every)
