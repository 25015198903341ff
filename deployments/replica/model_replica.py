"""Base classes of model replicas: device, checkpoint, warm-up, batcher and health.

The ingress (`deployments.ingress`) calls a replica, and the replica runs a pipeline (`pipelines`).
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar, cast

import numpy as np
import psutil
import ray

from config.settings import BatchTunables, EngineOptions, GraphSettings
from deployments.replica.autoscaling import autoscaling_stats
from deployments.replica.batcher import FAILED, Batcher, Progress
from deployments.replica.calibration import best_batch_size
from deployments.replica.health import HeldHealthCheck
from deployments.replica.loopback import listen_on_loopback
from deployments.replica.malloc_trim import start_malloc_trim_thread
from deployments.replica.metrics import ModelMetrics
from deployments.replica.shared_pages import start_shared_pages_thread
from deployments.transport.validation import check_length
from pipelines.pieces import Piecewise, Whole
from pipelines.samples import Samples, Stretches
from voxgraph.errors import CheckpointError, InferenceError, ModelUnavailable, VoxError
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, ModelInfo, ReplicaStatus, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint

log = logging.getLogger("ray.serve")

Item = TypeVar("Item")
Result = TypeVar("Result")
T = TypeVar("T")

INLINE_SAMPLES = 1 << 18
"""Samples up to which a recording is cut on the event loop, in less than a millisecond: 16 s."""


class Pipeline(Protocol[Item, Result]):
    """A loaded model that maps a list of items to the list of their results.

    One that is a `pipelines.pieces.Piecewise` as well has its items run piece by piece.
    """

    info: ModelInfo
    min_samples: int
    """Number of samples below which the model cannot answer."""

    def __call__(self, items: list[Item], /) -> list[Result]:
        """Answer each item; the result does not depend on the other items of the list."""
        ...


def assigned_device(
    gpu_ids: list[str], cuda_is_available: Callable[[], bool], allow_cpu_fallback: bool
) -> str:
    """Return the torch device of a replica: the CPU unless Ray assigned a GPU.

    Args:
        gpu_ids: Ids of the GPUs that Ray assigned to this replica.
        cuda_is_available: Called only if a GPU was assigned: a replica without one still sees every device of
            its node.
        allow_cpu_fallback: Whether to use the CPU if torch cannot find the assigned GPU.

    Raises:
        ModelUnavailable: A GPU was assigned, torch finds none, and the fallback is not allowed.
    """
    if gpu_ids and cuda_is_available():
        return "cuda:0"
    if not gpu_ids or allow_cpu_fallback:
        return "cpu"
    raise ModelUnavailable("Ray assigned a GPU to this replica, but torch finds no CUDA device.")


class ModelReplica(HeldHealthCheck, Generic[Item, Result]):
    """One model on one device, which answers through a batcher.

    A checkpoint that cannot be loaded does not stop the graph: the replica stays up and raises
    `ModelUnavailable` with the cause, so that every other question is still answered. Any other failure of
    the constructor, including the warm-up, is a failed start.
    """

    warm_up_s: ClassVar[float] = 3.0
    """Seconds of audio in the item of the warm-up."""
    supports_batching: ClassVar[bool] = True
    """Whether a forward pass may take several items; their best number is measured at the start."""

    def __init__(self, model: ModelKey, settings: GraphSettings) -> None:
        listen_on_loopback()
        self._model = model
        self._failure: str | None = None
        self._batcher: Batcher[Item, Result] | None = None
        self._tunables = BatchTunables()
        self._metrics = ModelMetrics()
        start_malloc_trim_thread()
        start_shared_pages_thread()
        # Importing torch creates a million permanent objects; collecting garbage takes 10 % of the start.
        gc.disable()
        try:
            self._pipeline = self._load_on_assigned_device(model, settings)
        except CheckpointError as error:
            self._failure = f"Model {model} is not loaded: {error.detail}"
            log.error(self._failure)
            return
        finally:
            gc.enable()
        batch_items = 1
        if self.supports_batching:
            batch_items = best_batch_size(self._pipeline, self.warm_up_item(), _is_out_of_memory)
        else:
            self._pipeline([self.warm_up_item()])
        self._info = loaded = replace(self._pipeline.info, batch_items=batch_items)
        log.info(
            f"Model {model} is {loaded.hub_id} ({loaded.source}, revision {loaded.revision}) and runs on "
            f"{loaded.engine} in {loaded.precision}, batches of up to {batch_items}. {loaded.engine_reason}"
        )

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Item, Result]:
        """Load the model; import its pipeline, and thereby torch, only here."""
        raise NotImplementedError

    def samples_of(self, item: Item) -> int:
        """Return the number of samples in an item."""
        raise NotImplementedError

    def seconds_of(self, item: Item) -> float:
        """Return the seconds of audio in an item of the batcher."""
        return self.samples_of(item) / SAMPLE_RATE_HZ

    def warm_up_item(self) -> Item:
        """Return an item with `warm_up_s` seconds of noise."""
        raise NotImplementedError

    def run_items(self, items: list[Item]) -> Sequence[Result | Literal[Progress.UNFINISHED]]:
        """Run some items on the engine thread; one for which it returns `UNFINISHED` is run again."""
        return self._pipeline(items)

    async def answer(self, item: Item, goes_on: bool = False) -> Result:
        """Answer one item, in a batch with other items that wait.

        Args:
            item: What is asked.
            goes_on: Whether it is a later part of a recording, which has had its first turn.

        Raises:
            AudioTooShort: The recording is shorter than the model needs.
            ModelUnavailable: The checkpoint could not be loaded.
            InferenceError: The forward pass failed for this item.
        """
        self._check_loaded()
        check_length(self.samples_of(item), self._pipeline.min_samples, self._model)
        (result,) = await self._running_batcher().submit_all([item], goes_on=goes_on)
        return result

    async def info(self) -> ModelInfo:
        """Return what this replica has loaded; raises `ModelUnavailable` if the checkpoint did not load."""
        self._check_loaded()
        return self._info

    async def status(self) -> ReplicaStatus:
        """Return what this replica has loaded and the memory of its process; raises what `info` raises."""
        return ReplicaStatus(await self.info(), psutil.Process().memory_info().rss / 1e6)

    async def record_routing_stats(self) -> dict[str, Any]:
        """Tell Serve's controller, which tells every caller, what ``/health`` shows of this replica.

        ``status``: a `ReplicaStatus`; ``failure``: why the checkpoint is not loaded.
        """
        if self._failure is not None:
            return {"failure": self._failure}
        status = await self.status()
        # The controller tells all callers of a change, which a few megabytes are not.
        return {"status": replace(status, memory_mb=round(status.memory_mb, -1))}

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Report the backlog to the autoscaler; an empty report if no checkpoint is loaded."""
        if self._failure is not None:
            return {}
        return autoscaling_stats(*self._running_batcher().load(), self._tunables.target_audio_s)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Apply the tunables of `user_config`; waiting items are kept."""
        self._tunables = BatchTunables.model_validate(user_config)
        if self._failure is None:
            self._running_batcher().reconfigure(self._tunables)

    async def check_health(self) -> None:
        """Update the backlog gauge; raise if the batcher has stopped, so that Serve replaces the replica."""
        if self._failure is None:
            batcher = self._running_batcher()
            # Ray drops a gauge that is not set again, and Serve calls this method periodically.
            self._metrics.set_backlog(batcher.load()[1])
            batcher.check_alive()
        await super().check_health()

    def _check_loaded(self) -> None:
        if self._failure is not None:
            raise ModelUnavailable(self._failure)

    def _load_on_assigned_device(self, model: ModelKey, settings: GraphSettings) -> Pipeline[Item, Result]:
        """Load the checkpoint on the device that Ray assigned, within the assigned share of a GPU."""
        from pipelines.checkpoints import locate
        from pipelines.device import cuda_is_available
        from pipelines.vendored.process import cap_memory

        replica = ray.get_runtime_context()
        gpu_ids = replica.get_accelerator_ids().get("GPU", [])
        device = assigned_device(gpu_ids, cuda_is_available, settings.allow_cpu_fallback)
        cap_memory(device, replica.get_assigned_resources().get("GPU", 0.0))
        return self.load_pipeline(locate(model, settings.checkpoint(model)), device, settings.engine(model))

    def _running_batcher(self) -> Batcher[Item, Result]:
        """Return the batcher, created on first use: it needs an event loop, and the constructor has none."""
        if self._batcher is None:
            self._batcher = Batcher(
                run=self.run_items,
                cost=self.seconds_of,
                tunables=self._tunables,
                is_out_of_memory=_is_out_of_memory,
                best_items=self._info.batch_items,
                on_batch=self._metrics.record,
            )
        return self._batcher

    async def __del__(self) -> None:
        """Close the batcher when Serve stops the replica."""
        if self._batcher is not None:
            await self._batcher.close()


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory; imports torch, hence only after a model failed."""
    from pipelines.device import is_out_of_memory

    return is_out_of_memory(error)


class WaveformReplica(ModelReplica[Waveform, Result]):
    """Base class of models whose items are recordings and nothing else.

    The items of the batcher are pieces of recordings, so that others have their turn between those of a long
    one, and a caller who has left ends the work at the next piece.
    """

    async def answer(self, item: Samples | tuple[Any, ...], goes_on: bool = False) -> Result:
        """Answer one recording, sent as samples of `to_pcm16`; raises what `ModelReplica.answer` raises.

        Args:
            item: The recording, or a chunk of one, or references to the stretches of a long one.
            goes_on: Whether it is a later chunk of a recording, which has had its first turn.
        """
        self._check_loaded()
        samples = await _joined(item) if isinstance(item, tuple) else item
        check_length(len(samples), self._pipeline.min_samples, self._model)
        pieces = await self._aside(samples, self._pieces.cut, samples)
        outputs = await self._running_batcher().submit_all(pieces, goes_on=goes_on)
        return await self._aside(samples, self._pieces.join, samples, outputs)

    def run_items(self, items: list[Any]) -> Sequence[Any]:
        """Run some pieces."""
        return self._pieces.run(items)

    def seconds_of(self, item: Any) -> float:
        """Return the seconds of audio in a piece."""
        return self._pieces.seconds_of(item)

    def warm_up_item(self) -> Waveform:
        """Return `warm_up_s` seconds of quiet noise."""
        return noise(self.warm_up_s)

    @cached_property
    def _pieces(self) -> Piecewise[Any, Any, Result]:
        return self._pipeline if isinstance(self._pipeline, Piecewise) else Whole(self._pipeline)

    async def _aside(self, recording: Samples, work: Callable[..., T], *arguments: Any) -> T:
        """Do work about a recording, in a thread if it is long; raises what `ModelReplica.answer` raises."""
        try:
            if len(recording) > INLINE_SAMPLES:
                return await asyncio.to_thread(work, *arguments)
            return work(*arguments)
        except VoxError:
            raise
        except Exception as error:
            log.exception("A recording failed beside the model")
            raise InferenceError(FAILED) from error


async def _joined(stretches: tuple[ray.ObjectRef[Samples], ...]) -> Samples:
    """Return the recording of which the stretches are in the object store, without a copy."""
    return cast(Samples, Stretches([await stretch for stretch in stretches]))


def noise(seconds: float) -> Waveform:
    """Return quiet white noise, always the same: float32, shape (samples,), 16 kHz."""
    generator = np.random.default_rng(0)
    return generator.normal(0.0, 0.01, int(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
