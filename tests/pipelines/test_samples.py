"""Long recordings are read block by block, without keeping what was read."""

import mmap
import os
from collections.abc import Callable

import numpy as np
import pytest

from pipelines import samples
from pipelines.pages import PIECE_BYTES, shared_bytes
from pipelines.samples import BLOCK_SAMPLES, Samples, Stretches, blocks_of, from_pcm16
from voxgraph.results import Waveform

LENGTH = 2 * BLOCK_SAMPLES + 12_345


def integers(length: int = LENGTH) -> np.ndarray:
    return np.random.default_rng(0).integers(-(1 << 15), 1 << 15, length, np.int16)


@pytest.mark.parametrize(
    "make",
    [lambda: integers(), lambda: from_pcm16(integers()), lambda: Stretches([integers(LENGTH), integers(5)])],
    ids=["int16", "float32", "stretches"],
)
@pytest.mark.parametrize("multiple", [1, 160, 479_999, 3 * BLOCK_SAMPLES])
def test_the_blocks_are_the_recording_in_float32(make: Callable[[], Samples], multiple: int) -> None:
    recording = make()

    blocks = [*blocks_of(recording, multiple)]

    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    assert np.array_equal(np.concatenate(blocks), from_pcm16(np.asarray(recording)))
    assert all(len(block) % multiple == 0 for block in blocks[:-1])
    assert max(map(len, blocks)) <= max(BLOCK_SAMPLES, multiple)


def test_an_empty_recording_has_no_blocks() -> None:
    assert [*blocks_of(integers(0))] == []


@pytest.fixture
def stored() -> Waveform:
    """A waveform of eight pieces in a file in memory, as decoders and Ray's object store leave them."""
    file, size = os.memfd_create("store"), 8 * PIECE_BYTES
    os.ftruncate(file, size)
    waveform = np.frombuffer(mmap.mmap(file, size), np.float32)
    os.close(file)
    waveform[:] = np.arange(len(waveform), dtype=np.float32)
    samples.give_back_shared()
    return waveform


def test_what_was_read_of_a_stored_recording_is_given_back_on_the_way(stored: Waveform) -> None:
    before, most, start = shared_bytes(), 0, 0

    for block in blocks_of(stored):
        assert block[0] == start
        assert block[-1] == start + len(block) - 1
        assert float(block.sum()) > 0
        start += len(block)
        most = max(most, shared_bytes() - before)

    assert start == len(stored)
    assert PIECE_BYTES // 2 < most <= 1.5 * PIECE_BYTES
    # The last piece goes with the next that is read, or with the mapping.
    assert shared_bytes() - before <= PIECE_BYTES


def test_a_short_recording_gives_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(samples, "give_back_shared", lambda: given.append(1))

    for _ in blocks_of(integers(PIECE_BYTES // 2 - 1)):
        pass
    assert not given
    for _ in blocks_of(integers(PIECE_BYTES // 2)):
        pass
    assert given
