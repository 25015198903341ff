"""Arrays that are mapped from a file in memory are read without keeping their pages."""

import mmap
import os

import numpy as np
import psutil

from pipelines.pages import PIECE_BYTES, give_back, give_back_shared, mapping_of, pieces, shared_bytes

SAMPLES = PIECE_BYTES  # four pieces of float32


def mapped(values: np.ndarray) -> np.ndarray:
    file = os.memfd_create("array")
    try:
        os.write(file, values.tobytes())
        return np.frombuffer(mmap.mmap(file, values.nbytes, mmap.MAP_PRIVATE, mmap.PROT_READ), values.dtype)
    finally:
        os.close(file)


def test_pieces_are_the_array_and_leave_none_of_its_pages() -> None:
    values = np.arange(SAMPLES, dtype=np.float32)
    array = mapped(values)
    before, most = psutil.Process().memory_info().rss, 0

    for number, piece in enumerate(pieces(array)):
        assert np.array_equal(piece, values[number * len(piece) : (number + 1) * len(piece)])
        most = max(most, psutil.Process().memory_info().rss - before)

    assert number == 3
    # The array has four pieces; comparing one takes some memory of its own.
    assert most < 2.5 * PIECE_BYTES
    assert psutil.Process().memory_info().rss - before < PIECE_BYTES


def test_a_view_gives_back_the_pages_of_its_array_whose_items_stay() -> None:
    array = mapped(np.full(SAMPLES, 7, np.int16))

    give_back(array[5:100])

    assert mapping_of(array[3:]) is mapping_of(array) is not None
    assert int(array.min()) == int(array.max()) == 7


def test_other_arrays_are_read_in_pieces_as_well() -> None:
    values = np.arange(2 * SAMPLES, dtype=np.int16)

    assert mapping_of(values) is None
    assert np.array_equal(np.concatenate([*pieces(values[1:])]), values[1:])
    assert [*pieces(values[:0])] == []


def test_shared_memory_is_given_back_and_stays_what_it_is() -> None:
    file = os.memfd_create("store")
    os.ftruncate(file, 4 * PIECE_BYTES)
    store = np.frombuffer(mmap.mmap(file, 4 * PIECE_BYTES), np.uint8)
    os.close(file)
    before = shared_bytes()
    store[:] = 7
    assert shared_bytes() - before == 4 * PIECE_BYTES

    give_back_shared()

    assert shared_bytes() - before < PIECE_BYTES
    assert int(store.min()) == int(store.max()) == 7
