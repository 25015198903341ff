"""All options of the graph with their units, ranges and the meaning of None.

``GraphSettings`` is the ``args`` of the Serve application: a change restarts all replicas. ``BatchTunables``,
``IngressTunables`` and ``GraphStateTunables`` are ``user_config``: running replicas take a change over.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxgraph.keys import Key
from voxgraph.options import DEADLINE_S, DIARIZATION_DEADLINE_S, ModelKey

CNCELEB_MIN_PROBABILITY = 0.8
"""Default of `IngressTunables.cnceleb_min_probability`."""


class _Frozen(BaseModel):
    """A frozen settings model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(StrEnum):
    """The architectures of each checkpoint row."""

    FULL = "full"  # the published checkpoint
    SMALL = "small"  # the published network made small, for tests
    STARTER = "starter"  # the real checkpoint that comes with the repository


class Family(StrEnum):
    """Kinds of network that a model may load in place of the one of its row."""

    WHISPER = "whisper"  # detects languages


STARTER = "starter"
HUB = "hub"
ENGINE_CACHE = "VOXGRAPH_ENGINE_CACHE"
"""Environment variable of a node: the folder that caches converted networks (never audio). If it is not set,
each replica converts its own networks in memory. The contents may be deleted at any time."""


HTTP_HOST = "VOXGRAPH_HTTP_HOST"
"""Environment variable of a node, set by `make serve`: the address on which clients reach the service."""
KEYS_FILE = "VOXGRAPH_KEYS_FILE"
"""Environment variable of a node: `GraphSettings.keys_file`, if the settings have none."""


class CheckpointSource(_Frozen):
    """The source of one model's checkpoint."""

    source: str = HUB
    """``hub`` (the pinned revision), ``starter``, or a folder in the layout of the architecture's checkpoint
    (an absolute path)."""
    size: Size | None = None
    """Architecture of the tensors. None: ``starter`` for the source of that name, otherwise ``full``."""
    family: Family | None = None
    """Kind of network. None: that of the model's row. A starter checkpoint has a kind of its own."""

    @property
    def architecture(self) -> Size:
        """The architecture to build, with None resolved."""
        return self.size or (Size.STARTER if self.source == STARTER else Size.FULL)


class EngineOptions(_Frozen):
    """Engine and precision of a network. The choice and its reason are logged and shown in ``/health``."""

    engine: Literal["auto", "torch", "openvino"] = "auto"
    """``auto``: OpenVINO on a CPU where it is faster, otherwise torch. ``openvino``: CPU only; the model does
    not load where it is not available."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of matrix products and convolutions. ``auto``: ``bfloat16`` with OpenVINO on processors where
    it is faster (Intel with AMX, AMD with AVX512-BF16), otherwise ``float32``. For CAM++ always ``float32``,
    because bfloat16 changes its embeddings too much. A precision set by name is used, or the model does not
    load: ``bfloat16`` on a CPU needs OpenVINO, ``float16`` needs CUDA."""


class AudioLimits(_Frozen):
    """Limits of an upload. A recording beyond a limit is refused, never truncated."""

    max_upload_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    """Maximum bytes of one request body, including the headers of a multipart body."""
    max_accent_upload_bytes: Annotated[int, Field(ge=1024)] = 50 * 1024 * 1024
    """Maximum bytes of a recording for ``/identify``, as its original service documented."""
    max_gallery_bytes: Annotated[int, Field(ge=1024)] = 512 * 1024 * 1024
    """Maximum bytes of one voice search: 100,000 voices take 260 to 430 MB, depending on the digits."""
    max_stall_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds without a byte of the body after which the request is answered 408 and its slot is released."""
    min_upload_bytes_per_s: Annotated[float, Field(ge=0)] = 1024
    """Least mean rate of an upload after `upload_grace_s`; a slower one is answered 408. 0: none. The default
    is below what a voice codec sends while somebody speaks, so that a recording may be sent as it is made."""
    upload_grace_s: Annotated[float, Field(ge=0)] = 10.0
    """Seconds at the beginning of an upload in which it may be slower."""
    max_bodies_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024 * 1024
    """Maximum bytes of bodies in one ingress replica's memory, until they are decoded; beyond it requests are
    answered 503. A replica that holds no other body accepts the largest one that is allowed."""
    max_client_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the places of a replica and of its memory for bodies and decoded audio that one client may
    hold; beyond it that client is answered 429. A client is a key, or an address. Programs on the same
    machine that send no key have no share."""
    max_unknown_per_minute: Annotated[int, Field(ge=0)] = 100
    """Maximum recordings a minute, also as one burst, that one client asks one ingress replica about and in
    which a gallery recognises nobody; beyond it the client is answered 429 about that gallery. 0: any."""
    max_reads_per_s: Annotated[float, Field(ge=0)] = 50.0
    """Requests without a body, such as ``GET /health``, that an ingress replica answers a client in a second;
    more of them wait for their turn, and are refused with 429 if that takes more than two seconds. 0: any.
    Programs on the same machine that send no key do not wait."""
    max_audio_s: Annotated[float, Field(gt=0)] = 4 * 3600.0
    """Maximum seconds of decoded audio."""
    max_decoded_s: Annotated[float, Field(gt=0)] = 8 * 3600.0
    """Maximum seconds of decoded audio in one ingress replica's memory, 64 KB each; beyond it requests are
    answered 503. A replica that holds no other audio always accepts a recording of `max_audio_s`."""
    min_audio_s: Annotated[float, Field(gt=0)] = 0.1
    """Minimum seconds of decoded audio (one ECAPA frame context needs 0.04 s)."""
    max_channels: Annotated[int, Field(ge=1, le=255)] = 32
    """Maximum channels of the audio stream; they are averaged to mono."""
    max_separate_channels: Annotated[int, Field(ge=1, le=255)] = 8
    """Maximum channels of a recording whose channels are diarized separately; all are in memory at once."""
    max_level: Annotated[float, Field(ge=1.0, le=2.0**40)] = 2.0**32
    """Maximum magnitude of a sample, where full scale is 1: 32-bit integers stored as float are accepted.
    From 1e14 on, the squares in a spectrum overflow float32."""
    max_damaged_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Maximum share of a recording that may be damaged. Up to it, damaged packets are silence."""
    min_sample_rate_hz: Annotated[int, Field(ge=1)] = 1_000
    max_sample_rate_hz: Annotated[int, Field(ge=1)] = 768_000
    max_samples_per_s: Annotated[int, Field(ge=1)] = 1_536_000
    """Maximum sample rate times channels: 48 kHz with 32 channels, 192 kHz with 8 and 768 kHz with 2."""


class DecoderSettings(_Frozen):
    """The processes in which an ingress replica decodes recordings, and what one recording may cost there."""

    processes: Annotated[int, Field(ge=0, le=64)] = 2
    """Recordings that are decoded at the same time. 0: in threads of the ingress itself, where a decoder that
    crashes ends the replica, and memory and processor time have no limit."""
    max_memory_bytes: Annotated[int, Field(ge=1 << 20)] = 256 * 1024 * 1024
    """Maximum address space of a process beyond its own, the waveform's and three times the upload's."""
    min_cpu_s: Annotated[float, Field(gt=0)] = 4.5
    """Processor time that a recording of up to 10 MB may take, in seconds, however long it is: less than 5 s
    with what the kernel takes to notice. Each further 10 MB may take another second."""
    cpu_share: Annotated[float, Field(gt=0)] = 0.005
    """Processor time that a second of audio of a recording of more than 10 MB may take, of the decoder's
    core, once that is more than `min_cpu_s`; at most 1 s for each further megabyte. MP3 takes 0.0005, Opus
    0.0015, in stereo 0.003. Raise both for processors that take twice as long."""
    max_stall_s: Annotated[float, Field(gt=0)] = 20.0
    """Seconds without a decoded block, and before the first one, after which a process is killed."""


class BatchTunables(_Frozen):
    """``user_config`` of every model deployment."""

    max_batch_s: Annotated[float, Field(gt=0)] = 60.0
    """Maximum cost of one forward pass: padded seconds x clips. A longer clip runs alone."""
    max_batch_items: Annotated[int, Field(ge=1)] | None = None
    """Maximum clips in one forward pass. None: each replica measures at startup which batch size makes a clip
    cheaper on its device; on a CPU this is usually one."""
    target_audio_s: Annotated[float, Field(gt=0)] = 120.0
    """Autoscaling target: seconds of queued and running audio per replica. By default one full batch runs and
    one waits."""
    max_run_s: Annotated[float, Field(gt=0)] = 300.0
    """Maximum seconds of one forward pass; a replica whose model takes longer is stuck and is replaced."""


class IngressTunables(_Frozen):
    """``user_config`` of the ingress."""

    max_requests: Annotated[int, Field(ge=1)] = 128
    """Maximum recordings in progress per ingress replica; beyond it requests are answered 503 immediately,
    before the body is read."""
    deadline_s: Annotated[float, Field(gt=0)] = DEADLINE_S
    """Seconds after which a request without diarization is answered 408."""
    diarization_deadline_s: Annotated[float, Field(gt=0)] = DIARIZATION_DEADLINE_S
    """Seconds after which a request with diarization is answered 408."""
    accent_deadline_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds after which a request of ``/identify`` is answered 408, including its time in the queue."""
    chunk_window: Annotated[int, Field(ge=1)] = 8
    """Maximum deepfake chunks of one request in flight, so that a long file does not starve short ones."""
    diarization_window: Annotated[int, Field(ge=1)] = 2
    """Maximum parts of one conversation in flight, 25 s of audio each. The number of replicas plus one keeps
    all of them busy."""
    max_running_jobs: Annotated[int, Field(ge=1)] = 2
    """Maximum jobs of the pyannoteAI-compatible interface that one ingress replica computes at a time; the
    others wait."""
    cache_entries: Annotated[int, Field(ge=0)] = 100
    """Maximum results in the LRU cache of one ingress replica. 0: no result is cached, but identical requests
    in flight are still computed once (single-flight)."""
    cache_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024
    """Maximum bytes of the results in that cache, estimated: a voice takes 1 KB, a conversation of 5,000
    turns 2 MB, the most deepfake chunks of four hours 50 MB. A larger result is not cached."""
    cnceleb_min_probability: Annotated[float, Field(ge=0, le=1)] = CNCELEB_MIN_PROBABILITY
    """Summed probability of Chinese, Cantonese, Japanese, Korean, Thai and Vietnamese from which the CN-Celeb
    encoder embeds a voice. A lower value sends more clips of other languages there, where they cannot be
    compared with the other clips of the same voice."""
    min_speech_s: Annotated[float, Field(ge=0)] = 0.05
    """Seconds of speech below which a recording counts as one without speech: it is answered 422, unless
    ``allow_no_speech`` is given. 0: no recording does."""
    min_gliding_share: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Share of the sound whose spectral peaks move within 128 ms (`pipelines.audio.tonality`), below which it
    counts as tones or music, in which the segmentation may have found voices. 0: no sound does."""


class GraphStateTunables(_Frozen):
    """``user_config`` of GraphState, which all ingress replicas share."""

    max_running: Annotated[int, Field(ge=1)] = 5
    """Maximum requests of ``/identify`` in progress in the whole graph."""
    max_queued: Annotated[int, Field(ge=0)] = 20
    """Maximum queued requests of ``/identify``; beyond it they are answered 503."""
    max_jobs: Annotated[int, Field(ge=1)] = 1000
    """Maximum jobs of the pyannoteAI-compatible interface that are kept, and maximum addresses for uploads. A
    new job takes the place of the oldest one that has ended, of a client with its share of the oldest of its
    own; if none has, it is answered 503, or 429."""
    max_media_bytes: Annotated[int, Field(ge=1024)] = 512 * 1024 * 1024
    """Maximum bytes of the recordings that are uploaded for such jobs, in the memory of GraphState; beyond it
    an upload is answered 503."""
    job_keep_s: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds for which an uploaded recording, and a job after its end, are kept."""
    max_client_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of `max_jobs` and of `max_media_bytes` that one client may have; beyond it that client, which is
    one as in `AudioLimits.max_client_share`, is answered 429."""
    uploads_folder: str | None = None
    """Folder whose old files are deleted, an absolute path on GraphState's node. None: no folder. The graph
    never writes audio to files; this is for the files of other programs. A folder that holds the service, the
    home of its user or a cache is refused."""
    max_file_age_hours: Annotated[float, Field(ge=0)] = 24.0
    """Age from which files in `uploads_folder` are deleted."""
    cleanup_interval_s: Annotated[float, Field(ge=1)] = 3600.0
    """Seconds between two cleanups."""


class DeepfakePoints(_Frozen):
    """Operating points of the deepfake detector, fitted on labelled recordings of your own."""

    ai_generated: Annotated[float, Field(ge=0, le=1)]
    """Probability above which a chunk counts as AI-generated."""
    no_sign_found: Annotated[float, Field(ge=0, le=1)]
    """Probability below which a chunk shows no sign of generation; between both it is inconclusive."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.no_sign_found > self.ai_generated:
            raise ValueError("no_sign_found must not be above ai_generated.")
        return self


class GraphSettings(_Frozen):
    """``args`` of the application: checkpoints, engines and limits of the whole graph."""

    checkpoints: dict[ModelKey, CheckpointSource] = {}
    """Checkpoints by model; other models use `default_checkpoint`."""
    default_checkpoint: CheckpointSource = CheckpointSource()
    engines: dict[ModelKey, EngineOptions] = {}
    """Engines by model; other models use `default_engine`."""
    default_engine: EngineOptions = EngineOptions()
    diarization: Literal[ModelKey.DIARIZATION_31, ModelKey.DIARIZATION_COMMUNITY_1] = (
        ModelKey.DIARIZATION_COMMUNITY_1
    )
    """The diarization pipeline."""
    deepfake_points: DeepfakePoints | None = None
    """Operating points of the deepfake detector. None: those of its checkpoint, or, if it has none, the
    defaults of `voxgraph.results.OperatingPoints`, which are not fitted."""
    limits: AudioLimits = AudioLimits()
    decoders: DecoderSettings = DecoderSettings()
    cors_origins: tuple[str, ...] = ()
    """Origins that browsers may call from; ``*`` allows all, empty none."""
    allowed_hosts: tuple[str, ...] | None = None
    """Names that ``Host`` may have, without ports; others are answered 421. None: those of the loopback if
    `make serve` listens there, otherwise all."""
    api_keys: tuple[Key, ...] = ()
    """API keys. With one, or with `keys_file`, every request needs a key, pages on this machine excepted."""
    keys_file: str | None = None
    """File of further API keys on each node with an ingress, an absolute path. ``voxgraph keys`` writes it;
    it is read again when it changes. ``VOXGRAPH_KEYS_FILE`` in the environment names it, too."""
    open_pages: bool | None = None
    """Whether the pages for browsers, ``/openapi.json`` and ``/health`` need no key. None: they need none for
    programs on this machine."""
    state: Annotated[str, Field(pattern=r"^(/|postgresql(\+psycopg)?://)")] | None = None
    """Where galleries of voices are kept: a folder on the node of the deployment `Gallery` (an absolute path,
    which is made), or the URL of a PostgreSQL database. None: nothing is kept, and every question about
    galleries is answered 503."""
    root_path: Annotated[str, Field(pattern=r"^(/[^/?#]+)*/?$")] = ""
    """Path under which a proxy publishes the service, such as ``/voice``; empty: the root."""
    page: bool = True
    """Whether browsers get the page at ``/``; the programs' answer is there in any case."""
    docs: bool = True
    """Whether ``/docs`` and ``/openapi.json`` are there."""
    allow_cpu_fallback: bool = False
    """Whether a replica with an assigned GPU may run on the CPU if torch finds no GPU (tests only)."""

    def checkpoint(self, model: ModelKey) -> CheckpointSource:
        """Return the checkpoint source of one model."""
        return self.checkpoints.get(model, self.default_checkpoint)

    def engine(self, model: ModelKey) -> EngineOptions:
        """Return the engine options of one model."""
        return self.engines.get(model, self.default_engine)
