"""What every model replica shares: its device, its checkpoint, a warm-up, the batcher, its health.

Before this comes the ingress (`deployments.ingress`), after it the model's pipeline (`pipelines`).
"""

import gc
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import psutil
import ray

from config.settings import DEMO, BatchTunables, EngineOptions, GraphSettings
from deployments.replica.autoscaling import stats
from deployments.replica.batcher import Batcher, BatcherStats
from deployments.replica.calibration import best_batch
from deployments.replica.health import HeldHealthCheck
from deployments.replica.malloc_trim import start_malloc_trim_thread
from deployments.replica.metrics import ModelMetrics
from deployments.transport.clips import Samples, from_pcm16
from voxgraph.errors import AudioTooShort, CheckpointError, ModelUnavailable
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, ModelInfo, ReplicaStatus, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint

log = logging.getLogger("ray.serve")

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pipeline(Protocol[Item, Result]):
    """A loaded model: a list of clips in, the list of their answers out."""

    info: ModelInfo
    min_samples: int

    def __call__(self, items: list[Item], /) -> list[Result]:
        """Answer each item; the answer does not depend on its neighbours."""
        ...


def assigned_device(
    gpu_ids: list[str], cuda_is_available: Callable[[], bool], allow_cpu_fallback: bool
) -> str:
    """The torch device of a replica: CPU unless Ray assigned an accelerator.

    Args:
        gpu_ids: The ids of the GPUs that Ray assigned to this replica.
        cuda_is_available: Asked only where a GPU was assigned: without one, a replica on a GPU node
            still sees every device.
        allow_cpu_fallback: Whether an assigned GPU that torch cannot find means CPU.

    Raises:
        ModelUnavailable: A GPU was assigned, torch finds none, and falling back is not allowed.
    """
    if not gpu_ids:
        return "cpu"
    if cuda_is_available():
        return "cuda:0"
    if allow_cpu_fallback:
        return "cpu"
    raise ModelUnavailable("Ray assigned a GPU to this replica, but torch finds no CUDA device.")


class ModelReplica(HeldHealthCheck, Generic[Item, Result]):
    """One model on one device, answering through a batcher.

    A checkpoint that cannot be loaded does not stop the graph: the replica stays up and answers
    `ModelUnavailable` with the cause, so that every other question is still answered. Any other
    failure of the constructor, the warm-up included, is a failed start.
    """

    warm_up_s: ClassVar[float] = 3.0
    supports_batching: ClassVar[bool] = True
    """Whether several items may be one forward pass; it is measured which batch is the best."""

    def __init__(self, model: ModelKey, settings: GraphSettings) -> None:
        self._model = model
        self._failure: str | None = None
        self._batcher: Batcher[Item, Result] | None = None
        self._tunables = BatchTunables()
        self._metrics = ModelMetrics()
        start_malloc_trim_thread()
        # Importing torch makes a million objects that stay: collecting them costs a tenth of the start.
        gc.disable()
        try:
            self._pipeline = self._load(model, settings)
        except CheckpointError as error:
            self._failure = f"Model {model} is not loaded: {error.detail}"
            log.error(self._failure)
            return
        finally:
            gc.enable()
        batch = 1
        if self.supports_batching:
            batch = best_batch(self._pipeline, self.warm_up_item(), _is_out_of_memory)
        else:
            self._pipeline([self.warm_up_item()])
        self._info = loaded = replace(self._pipeline.info, batch_items=batch)
        log.info(
            f"Model {model} runs on {loaded.engine} in {loaded.precision}, batches of up to {batch}. "
            f"{loaded.engine_reason}"
        )
        if loaded.source == DEMO:
            log.warning(f"Model {model} is a small demo checkpoint: decide nothing by its answers.")

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Item, Result]:
        """Load the model; the import of its pipeline, and so of torch, belongs in here."""
        raise NotImplementedError

    def samples_of(self, item: Item) -> int:
        """Length of the recording in an item of the batch."""
        raise NotImplementedError

    def warm_up_item(self) -> Item:
        """Some seconds of noise, as an item of the batch."""
        raise NotImplementedError

    async def answer(self, item: Item) -> Result:
        """Answer one item, together with whatever waits.

        Raises:
            AudioTooShort: The recording is shorter than the model needs.
            ModelUnavailable: The checkpoint could not be loaded.
            InferenceError: The forward pass failed for this item.
        """
        self._check_loaded()
        samples, needed = self.samples_of(item), self._pipeline.min_samples
        if samples < needed:
            raise AudioTooShort(
                f"{samples / SAMPLE_RATE_HZ:.3f} s of audio; "
                f"model {self._model} needs {needed / SAMPLE_RATE_HZ:.3f} s."
            )
        return await self._running_batcher().submit(item)

    async def info(self) -> ModelInfo:
        """What is loaded here.

        Raises:
            ModelUnavailable: The checkpoint could not be loaded.
        """
        self._check_loaded()
        return self._info

    async def status(self) -> ReplicaStatus:
        """What is loaded here and how much memory the process has.

        Raises:
            ModelUnavailable: The checkpoint could not be loaded.
        """
        return ReplicaStatus(await self.info(), psutil.Process().memory_info().rss / 1e6)

    async def batcher_stats(self) -> BatcherStats | None:
        """What the batcher has done since the replica started; None where no checkpoint is loaded."""
        return None if self._failure is not None else self._running_batcher().stats()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Report what waits and runs here to the autoscaler; nothing where no checkpoint is loaded."""
        if self._failure is not None:
            return {}
        return stats(*self._running_batcher().load(), self._tunables.target_audio_s)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new tunables from `user_config`; what waits is kept."""
        self._tunables = BatchTunables.model_validate(user_config)
        if self._failure is None:
            self._running_batcher().reconfigure(self._tunables)

    async def check_health(self) -> None:
        """Say what is in hand; fail, so that Serve replaces the replica, when the batcher's loop is dead."""
        if self._failure is None:
            batcher = self._running_batcher()
            # Here, since Serve comes by for ever: Ray forgets a gauge that is not set anew.
            self._metrics.in_hand(batcher.load()[1])
            batcher.check_alive()
        await super().check_health()

    def _check_loaded(self) -> None:
        if self._failure is not None:
            raise ModelUnavailable(self._failure)

    def _load(self, model: ModelKey, settings: GraphSettings) -> Pipeline[Item, Result]:
        from pipelines.checkpoints import locate
        from pipelines.device import cuda_is_available
        from pipelines.vendored.process import cap_memory

        replica = ray.get_runtime_context()
        gpu_ids = replica.get_accelerator_ids().get("GPU", [])
        device = assigned_device(gpu_ids, cuda_is_available, settings.allow_cpu_fallback)
        cap_memory(device, replica.get_assigned_resources().get("GPU", 0.0))
        return self.load_pipeline(locate(model, settings.checkpoint(model)), device, settings.engine(model))

    def _running_batcher(self) -> Batcher[Item, Result]:
        """The batcher, started on first use: it belongs to the event loop, which a constructor has not."""
        if self._batcher is None:
            self._batcher = Batcher(
                run=self._pipeline,
                cost=lambda item: self.samples_of(item) / SAMPLE_RATE_HZ,
                tunables=self._tunables,
                is_out_of_memory=_is_out_of_memory,
                best_items=self._info.batch_items,
                on_batch=self._metrics.record,
            )
        return self._batcher

    async def __del__(self) -> None:
        """Let the engine's thread go when Serve stops the replica."""
        if self._batcher is not None:
            await self._batcher.close()


def _is_out_of_memory(error: BaseException) -> bool:
    """Imports torch only where a model failed: one that needs no torch runs without."""
    from pipelines.device import is_out_of_memory

    return is_out_of_memory(error)


class WaveformReplica(ModelReplica[Waveform, Result]):
    """A model whose items are recordings and nothing else."""

    async def answer(self, item: Samples) -> Result:
        """As `ModelReplica.answer`, of a recording as it is sent."""
        return await super().answer(from_pcm16(item))

    def samples_of(self, item: Waveform) -> int:
        """Length of the item."""
        return len(item)

    def warm_up_item(self) -> Waveform:
        """Some seconds of quiet noise."""
        return noise(self.warm_up_s)


def noise(seconds: float) -> Waveform:
    """Quiet white noise, always the same: float32, (samples,), 16 kHz."""
    generator = np.random.default_rng(0)
    return generator.normal(0.0, 0.01, int(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
