"""Every option of the graph, once: its unit, its range and what None means.

``GraphSettings`` is the ``args`` of the Serve application: changing it restarts every replica.
``BatchTunables`` and ``IngressTunables`` are ``user_config``: they change under a running replica.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from voxgraph.options import DEADLINE_S, DIARIZATION_DEADLINE_S, ModelKey


class _Frozen(BaseModel):
    """A settings model: unknown keys are an error, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(StrEnum):
    """Which of a checkpoint row's architectures the tensors have."""

    FULL = "full"  # the published checkpoint
    DEMO = "demo"  # the small checkpoints that answer without a hub


DEMO = "demo"
HUB = "hub"
ENGINE_CACHE = "VOXGRAPH_ENGINE_CACHE"
"""The environment variable of a node that names a folder for converted networks, no audio; without it each
replica converts its own in memory. What is in it may be deleted at any time."""


class CheckpointSource(_Frozen):
    """Where one model's checkpoint comes from."""

    source: str = HUB
    """``hub`` (the pinned revision), ``demo``, or a folder in the hub's layout (an absolute path)."""
    size: Size | None = None
    """Architecture of the tensors. None: ``demo`` for the demo checkpoints, ``full`` for all others."""

    @property
    def architecture(self) -> Size:
        """The size to build, with None resolved."""
        return self.size or (Size.DEMO if self.source == DEMO else Size.FULL)


class EngineOptions(_Frozen):
    """What a model's network runs on. The choice and its reason are logged and shown by ``/health``."""

    engine: Literal["auto", "torch", "openvino"] = "auto"
    """``auto``: OpenVINO on a CPU where it is faster, else torch. ``openvino``, asked for by name, is given
    or the model is not loaded: it is for CPUs only."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What products and convolutions are computed in. ``auto``: ``bfloat16`` with OpenVINO on a processor
    that computes it faster (Intel's with AMX, AMD's with AVX512-BF16), else ``float32``. Asked for by name
    it is given or the model is not loaded: on a CPU ``bfloat16`` is OpenVINO's, and ``float16`` is for
    CUDA."""


class AudioLimits(_Frozen):
    """What an upload may be. Beyond a limit the request is refused, never cut."""

    max_upload_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    """Bytes of one request body, headers of a multipart body included."""
    max_accent_upload_bytes: Annotated[int, Field(ge=1024)] = 50 * 1024 * 1024
    """Bytes of a recording for ``/identify``, which promised so."""
    max_gallery_bytes: Annotated[int, Field(ge=1024)] = 512 * 1024 * 1024
    """Bytes of one search for a voice: 100,000 stored ones take 260 to 430 million, by how many digits."""
    max_stall_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds for which nothing of a body may come; then the answer is 408, and its place is another's."""
    max_audio_s: Annotated[float, Field(gt=0)] = 4 * 3600.0
    """Seconds of decoded audio."""
    max_decoded_s: Annotated[float, Field(gt=0)] = 8 * 3600.0
    """Seconds of decoded audio that one ingress replica has in hand, 64 KB each; beyond them the answer is
    503. Where nothing else is in hand, a recording of `max_audio_s` is taken in any case."""
    min_audio_s: Annotated[float, Field(gt=0)] = 0.1
    """Seconds of decoded audio below which no model answers (one ECAPA frame context needs 0.04 s)."""
    max_channels: Annotated[int, Field(ge=1, le=255)] = 32
    """Channels of the container's audio stream; they are averaged to one."""
    max_level: Annotated[float, Field(ge=1.0, le=2.0**40)] = 2.0**32
    """Magnitude of a sample, full scale is 1: integers of 32 bits that were stored as float are taken. From
    1e14 on the squares in a spectrum are more than float32 holds."""
    min_sample_rate_hz: Annotated[int, Field(ge=1)] = 1_000
    max_sample_rate_hz: Annotated[int, Field(ge=1)] = 768_000


class BatchTunables(_Frozen):
    """``user_config`` of every model deployment."""

    max_batch_s: Annotated[float, Field(gt=0)] = 60.0
    """Cost of one forward pass at most: padded seconds x clips. A clip that is longer runs alone."""
    max_batch_items: Annotated[int, Field(ge=1)] | None = None
    """Clips in one forward pass at most. None: as many as each replica, when it starts, measures to make a
    clip cheaper on its device; on a CPU that is mostly one."""
    target_audio_s: Annotated[float, Field(gt=0)] = 120.0
    """Seconds of audio, waiting and running, that autoscaling leaves to one replica: a full batch that runs
    and one that waits."""
    max_run_s: Annotated[float, Field(gt=0)] = 300.0
    """Seconds that one forward pass may take: a replica whose model takes longer is stuck and is replaced."""


class IngressTunables(_Frozen):
    """``user_config`` of the ingress."""

    max_requests: Annotated[int, Field(ge=1)] = 128
    """Recordings that one ingress replica works on at a time; beyond them the answer is 503, at once and
    before the body is read."""
    deadline_s: Annotated[float, Field(gt=0)] = DEADLINE_S
    """Seconds a request may take before it is answered 408; diarization has its own."""
    diarization_deadline_s: Annotated[float, Field(gt=0)] = DIARIZATION_DEADLINE_S
    """Seconds a request that asks for diarization may take."""
    accent_deadline_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds a request of ``/identify`` may take, its wait for a place included."""
    chunk_window: Annotated[int, Field(ge=1)] = 8
    """Deepfake chunks of one request in flight at a time, so that a long file does not starve short ones."""
    diarization_window: Annotated[int, Field(ge=1)] = 2
    """Parts of one conversation in flight at a time; each is 25 s of audio. As many as replicas, and one
    more, keeps all of them busy."""
    cache_entries: Annotated[int, Field(ge=0)] = 100
    """Results that one ingress replica keeps; the least recently used are dropped first. With 0 it keeps
    none, but computes identical requests in flight once all the same."""


class GraphStateTunables(_Frozen):
    """``user_config`` of the state that all ingress replicas share."""

    max_running: Annotated[int, Field(ge=1)] = 5
    """Requests of ``/identify`` that the whole graph works on at a time."""
    max_queued: Annotated[int, Field(ge=0)] = 20
    """Requests of ``/identify`` that wait for a place; beyond them the answer is 503."""
    uploads_folder: str | None = None
    """Folder whose old files are deleted; an absolute path on the node where GraphState runs. None: no
    folder. The graph itself never writes audio to one; only files of other programs need it."""
    max_file_age_hours: Annotated[float, Field(ge=0)] = 24.0
    cleanup_interval_s: Annotated[float, Field(ge=1)] = 3600.0
    """Seconds between two cleanups."""


class GraphSettings(_Frozen):
    """``args`` of the application: the structure of the graph."""

    checkpoints: dict[ModelKey, CheckpointSource] = {}
    """Per model; a model that is not named takes `default_checkpoint`."""
    default_checkpoint: CheckpointSource = CheckpointSource()
    engines: dict[ModelKey, EngineOptions] = {}
    """Per model; a model that is not named takes `default_engine`."""
    default_engine: EngineOptions = EngineOptions()
    diarization: Literal[ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1] = (
        ModelKey.DIARIZATION_COMMUNITY_1
    )
    """Which pipeline answers who spoke when."""
    limits: AudioLimits = AudioLimits()
    cors_origins: tuple[str, ...] = ()
    """Origins a browser may call from; ``*`` is all, empty is none."""
    allow_cpu_fallback: bool = False
    """Whether a replica that was assigned a GPU may run on the CPU when torch finds none (tests only)."""

    def checkpoint(self, model: ModelKey) -> CheckpointSource:
        """The source of one model's checkpoint."""
        return self.checkpoints.get(model, self.default_checkpoint)

    def engine(self, model: ModelKey) -> EngineOptions:
        """What one model's network runs on."""
        return self.engines.get(model, self.default_engine)
