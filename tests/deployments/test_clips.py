"""Which way a recording takes to a model."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ray.serve._private.constants import RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH

from deployments.state.result_cache import key_of
from deployments.transport import clips
from deployments.transport.calls import DIRECT_BYTES
from deployments.transport.clips import PCM16_FROM, Clip, ModelHandle, from_pcm16, to_pcm16
from voxgraph.results import Waveform


def pcm(samples: int) -> Waveform:
    """A recording of 16 bits, the extremes among them, decoded."""
    values = np.random.default_rng(samples).integers(-(1 << 15), 1 << 15, samples)
    values[:2] = -(1 << 15), (1 << 15) - 1
    return (values / (1 << 15)).astype(np.float32)


def between_levels(samples: int) -> Waveform:
    """A recording that no 16 bits can tell."""
    waveform = pcm(samples)
    waveform[-1] = 0.1
    return waveform


@pytest.mark.parametrize(
    ("waveform", "direct"),
    [
        (pcm(DIRECT_BYTES // 2), True),
        (pcm(DIRECT_BYTES // 2 + 1), False),
        (between_levels(DIRECT_BYTES // 4), True),
        (between_levels(DIRECT_BYTES // 4 + 1), False),
    ],
)
def test_a_clip_goes_directly_up_to_so_many_bytes_and_a_longer_one_by_reference(
    monkeypatch: pytest.MonkeyPatch, waveform: Waveform, direct: bool
) -> None:
    monkeypatch.setattr(clips.ray, "put", lambda value: ("put", value))
    asked: list[dict[str, Any]] = []
    handle: Any = SimpleNamespace(options=lambda **options: asked.append(options) or "direct")
    clip, model = Clip(waveform), ModelHandle(handle)

    assert model.handle_for(clip) == "direct" if direct else model.handle_for(clip) is handle
    sent: Any = clip.sent if direct else clip.sent[1]
    np.testing.assert_array_equal(from_pcm16(sent), waveform)
    assert [options["_by_reference"] for options in asked] == [False]


@given(
    arrays.arrays(np.int16, st.integers(PCM16_FROM, PCM16_FROM + 9), fill=st.integers(-9, 9)),
    st.integers(1, 3),
)
def test_sixteen_bits_are_sent_as_they_are_and_come_back_exactly(
    levels: npt.NDArray[np.int16], times: int
) -> None:
    levels = np.tile(levels, times)
    waveform = (levels / np.float32(1 << 15)).astype(np.float32)

    sent = to_pcm16(waveform)

    assert sent.dtype == np.int16
    np.testing.assert_array_equal(sent, levels)
    got = from_pcm16(sent)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, waveform)


@pytest.mark.parametrize("value", [0.1, 1.0, -1.0001, 70_000.0, 1e-9, float(np.float32(2**-16))])
@pytest.mark.parametrize("at", [0, PCM16_FROM - 1, PCM16_FROM, -1])
def test_one_sample_that_sixteen_bits_cannot_tell_is_enough(value: float, at: int) -> None:
    waveform = pcm(2 * PCM16_FROM + 5)
    waveform[at] = value

    assert to_pcm16(waveform) is waveform
    assert from_pcm16(waveform) is waveform


def test_short_clips_are_not_worth_it() -> None:
    waveform = pcm(PCM16_FROM - 1)

    assert to_pcm16(waveform) is waveform


def test_what_tells_a_recording_from_others_is_not_made_for_it_alone() -> None:
    short, long = Clip(pcm(PCM16_FROM)), Clip(pcm(2 * DIRECT_BYTES))

    assert short.digest_source is short.sent
    assert long.digest_source is long.waveform


async def test_the_same_bytes_in_sixteen_and_in_thirty_two_bits_are_two_recordings() -> None:
    samples = to_pcm16(pcm(PCM16_FROM))

    assert await key_of(samples, "language") != await key_of(samples.view(np.float32), "language")
    assert await key_of(samples, "language") == await key_of(samples.copy(), "language")


def test_what_goes_directly_is_far_from_what_ray_takes() -> None:
    assert 2 * DIRECT_BYTES <= RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH
