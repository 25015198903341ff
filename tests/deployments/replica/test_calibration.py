"""The measured batch size is the one at which clips are cheapest on the device."""

import pytest

from deployments.replica.calibration import MAX_BATCH_ITEMS, best_batch_size


class Device:
    """Simulates a device with its own clock: some seconds per pass and some per item."""

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
        (Device(0.01, 1e-5), MAX_BATCH_ITEMS),
        (Device(0.01, 1e-5, full_at=8), 8),
        (Device(0.15, 0.01), 64),
        (Device(0.9, 0.15), 1),
        (Device(0.7, 0.15), 4),
    ],
)
def test_a_batch_grows_while_it_makes_clips_cheaper(device: Device, expected: int) -> None:
    assert best_batch_size(device.run, "clip", is_full, device.clock) == expected


def test_a_device_without_gain_is_tried_with_at_most_two_items() -> None:
    device = Device(0.0, 0.5)

    best_batch_size(device.run, "clip", is_full, device.clock)

    assert max(device.sizes) == 2


@pytest.mark.parametrize("most", [1, 4, 33])
def test_the_batch_size_is_limited_by_device_memory(most: int) -> None:
    device = Device(0.01, 1e-5, most=most)

    assert best_batch_size(device.run, "clip", is_full, device.clock) == 1 << most.bit_length() - 1


@pytest.mark.parametrize(("most", "error"), [(0, MemoryError), (2, ValueError)])
def test_any_other_failure_is_raised(most: int, error: type[Exception]) -> None:
    device = Device(0.01, 1e-5, most=most, error=error)

    with pytest.raises(error):
        best_batch_size(device.run, "clip", is_full, device.clock)
