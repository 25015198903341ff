"""Recordings are sent directly or through the object store, as 16-bit PCM if that is lossless."""

import asyncio
import hashlib
import os
import sys
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from ray.exceptions import ObjectStoreFullError
from ray.serve._private.constants import RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH

from deployments.transport import clips
from deployments.transport.calls import DIRECT_BYTES
from deployments.transport.clips import INLINE_BYTES, Clip, ModelHandle, recording_digest
from pipelines.samples import MIN_PCM16_SAMPLES, Samples, Stretches, from_pcm16, to_pcm16
from voxgraph.results import Waveform


def pcm(samples: int) -> Waveform:
    """Return a waveform decoded from 16-bit PCM, including both extreme values."""
    values = np.random.default_rng(samples).integers(-(1 << 15), 1 << 15, samples)
    values[:2] = -(1 << 15), (1 << 15) - 1
    return (values / (1 << 15)).astype(np.float32)


def between_levels(samples: int) -> Waveform:
    """Return a waveform that 16 bits cannot represent."""
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
def test_a_clip_is_sent_directly_up_to_a_size_and_by_reference_above_it(
    monkeypatch: pytest.MonkeyPatch, waveform: Waveform, direct: bool
) -> None:
    monkeypatch.setattr(clips.ray, "put", lambda value: ("put", value))
    requested: list[dict[str, Any]] = []
    handle: Any = SimpleNamespace(options=lambda **options: requested.append(options) or "direct")
    clip, model = Clip(waveform), ModelHandle(handle)

    assert model.handle_for(clip) == "direct" if direct else model.handle_for(clip) is handle
    sent: Any = clip.payload if direct else clip.payload[1]
    np.testing.assert_array_equal(from_pcm16(sent), waveform)
    assert [options["_by_reference"] for options in requested] == [False]


async def test_a_long_clip_is_packed_once_in_a_thread_while_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[str] = []
    resume = threading.Event()

    def put(_: object) -> str:
        threads.append(threading.current_thread().name)
        assert resume.wait(10)
        return "reference"

    monkeypatch.setattr(clips.ray, "put", put)
    clip = Clip(pcm(2 * DIRECT_BYTES))

    packing = asyncio.gather(clip.pack(), clip.pack())
    await asyncio.sleep(0.01)
    resume.set()
    await packing

    assert [name.split("_")[0] for name in threads] == ["packing"]
    assert clip.payload == "reference"


async def test_hours_are_put_into_the_store_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "STRETCH_SAMPLES", 2 * MIN_PCM16_SAMPLES)
    stretches: list[Samples] = []
    monkeypatch.setattr(clips.ray, "put", lambda value: stretches.append(value) or len(stretches))
    waveform = pcm(DIRECT_BYTES)

    assert Clip(waveform).payload == tuple(range(1, len(stretches) + 1))
    assert len(stretches) == -(-len(waveform) // (2 * MIN_PCM16_SAMPLES))
    np.testing.assert_array_equal(from_pcm16(Stretches(stretches)[:]), waveform)


async def test_a_full_store_is_reported_when_the_clip_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(_: object) -> None:
        raise ObjectStoreFullError

    monkeypatch.setattr(clips.ray, "put", put)
    clip = Clip(pcm(2 * DIRECT_BYTES))

    await clip.pack()

    with pytest.raises(ObjectStoreFullError):
        _ = clip.payload


async def test_a_short_clip_is_not_packed_in_a_thread() -> None:
    clip = Clip(pcm(MIN_PCM16_SAMPLES))

    await clip.pack()

    assert isinstance(clip.payload, np.ndarray)


@given(
    arrays.arrays(np.int16, st.integers(MIN_PCM16_SAMPLES, MIN_PCM16_SAMPLES + 9), fill=st.integers(-9, 9)),
    st.integers(1, 3),
)
def test_16_bit_audio_is_sent_as_int16_and_restored_exactly(
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
@pytest.mark.parametrize("at", [0, MIN_PCM16_SAMPLES - 1, MIN_PCM16_SAMPLES, -1])
def test_one_sample_that_16_bits_cannot_represent_keeps_float32(value: float, at: int) -> None:
    waveform = pcm(2 * MIN_PCM16_SAMPLES + 5)
    waveform[at] = value

    assert to_pcm16(waveform) is waveform
    assert from_pcm16(waveform) is waveform


@pytest.mark.parametrize("last", [np.int16, np.float32])
def test_stretches_have_the_parts_of_the_whole_recording(last: type) -> None:
    levels = np.arange(1, 26, dtype=np.int16)
    stretches: list[Any] = [levels[:10], levels[10:20], levels[20:]]
    if last is np.float32:
        stretches[2] = from_pcm16(stretches[2])
    recording = Stretches(stretches)
    whole = from_pcm16(levels)

    assert len(recording) == 25
    assert recording.dtype == last
    np.testing.assert_array_equal(from_pcm16(recording[:]), whole)
    np.testing.assert_array_equal(from_pcm16(np.asarray(recording)), whole)
    for start in range(27):
        for end in range(27):
            np.testing.assert_array_equal(from_pcm16(recording[start:end]), whole[start:end])
    assert np.shares_memory(recording[12:18], levels)


def test_short_clips_are_not_converted() -> None:
    waveform = pcm(MIN_PCM16_SAMPLES - 1)

    assert to_pcm16(waveform) is waveform


async def test_a_clip_is_hashed_once_for_all_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Samples] = []

    async def digest(samples: Samples) -> bytes:
        hashed.append(samples)
        await asyncio.sleep(0.01)
        return b"digest"

    monkeypatch.setattr(clips, "recording_digest", digest)
    short, long = Clip(pcm(MIN_PCM16_SAMPLES)), Clip(pcm(2 * DIRECT_BYTES))

    assert {*await asyncio.gather(*(clip.digest() for clip in (short, long, short, long)))} == {b"digest"}
    assert await long.digest() == b"digest"
    assert len(hashed) == 2
    assert hashed[0] is short.payload
    assert hashed[1] is long.waveform


async def test_the_same_bytes_as_int16_and_as_float32_have_different_digests() -> None:
    samples = to_pcm16(pcm(MIN_PCM16_SAMPLES))

    assert await recording_digest(samples) != await recording_digest(samples.view(np.float32))
    assert await recording_digest(samples) == await recording_digest(samples.copy())


async def test_a_long_recording_is_hashed_in_a_thread_like_a_short_one() -> None:
    long = np.zeros(INLINE_BYTES + 8, np.float32)
    one, other = long[: INLINE_BYTES // 4], long[: INLINE_BYTES // 4].copy()
    other[5] = 1.0

    assert await recording_digest(one) == await recording_digest(one.copy())
    assert await recording_digest(one) != await recording_digest(other)
    assert await recording_digest(long) == hashlib.sha256(long.tobytes() + b"<f4").digest()


def test_direct_calls_stay_far_below_the_message_limit_of_ray() -> None:
    assert 2 * DIRECT_BYTES <= RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")
def test_long_recordings_stand_back_and_nothing_else_does() -> None:
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert clips._packers.submit(priority).result() == 19
    assert priority() == own
