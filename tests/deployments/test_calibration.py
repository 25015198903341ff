"""The batch that a replica takes is the one that pays on its device."""

import pytest

from deployments.replica.calibration import LARGEST, best_batch


class Device:
    """Takes some seconds for a batch and for each item in it, by a clock of its own."""

    def __init__(
        self,
        batch_s: float,
        item_s: float,
        full_at: int = 10**6,
        most: int = 10**6,
        error: type[Exception] = MemoryError,
    ) -> None:
        self.now, self._batch_s, self._item_s, self._full_at = 0.0, batch_s, item_s, full_at
        self._most, self._error = most, error
        self.sizes: list[int] = []

    def run(self, items: list[str]) -> None:
        self.sizes.append(len(items))
        if len(items) > self._most:
            raise self._error
        passes = -(-len(items) // self._full_at)
        self.now += passes * self._batch_s + len(items) * self._item_s

    def clock(self) -> float:
        return self.now


def is_full(error: BaseException) -> bool:
    return isinstance(error, MemoryError)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (Device(0.0, 0.1), 1),
        (Device(0.001, 0.1), 1),
        (Device(0.01, 1e-5), LARGEST),
        (Device(0.01, 1e-5, full_at=8), 8),
        (Device(0.15, 0.01), 64),
        (Device(0.9, 0.15), 1),
        (Device(0.7, 0.15), 4),
    ],
)
def test_a_batch_grows_while_it_makes_clips_cheaper(device: Device, expected: int) -> None:
    assert best_batch(device.run, "clip", is_full, device.clock) == expected


def test_a_device_that_gains_nothing_is_tried_with_two_and_no_more() -> None:
    device = Device(0.0, 0.5)

    best_batch(device.run, "clip", is_full, device.clock)

    assert max(device.sizes) == 2


@pytest.mark.parametrize("most", [1, 4, 33])
def test_a_device_without_room_for_more_takes_what_it_has_room_for(most: int) -> None:
    device = Device(0.01, 1e-5, most=most)

    assert best_batch(device.run, "clip", is_full, device.clock) == 1 << most.bit_length() - 1


@pytest.mark.parametrize(("most", "error"), [(0, MemoryError), (2, ValueError)])
def test_a_model_that_fails_otherwise_is_not_started(most: int, error: type[Exception]) -> None:
    device = Device(0.01, 1e-5, most=most, error=error)

    with pytest.raises(error):
        best_batch(device.run, "clip", is_full, device.clock)
