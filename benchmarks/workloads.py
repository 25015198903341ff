"""Workloads: requests, concurrency and models."""

from dataclasses import dataclass, replace

from benchmarks.bare import Job
from benchmarks.load import RequestKind
from voxgraph.options import ModelKey

VOICES = (ModelKey.LANGUAGE, ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB)
DIARIZATION = ModelKey.DIARIZATION_COMMUNITY_1
ALL = (*VOICES, ModelKey.ACCENT_XLSR, ModelKey.DEEPFAKE, DIARIZATION)

EMBED = RequestKind("/extract-embedding", 3.0)
VARIED = replace(EMBED, spread_s=2.0)
DEEPFAKE = RequestKind("/audio/analyze-audio", 60.0)
WARM_UP_S = 12.0
"""Longest recording of the naive server's warm-up, in seconds."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A measurement; the table has one line of it per side."""

    name: str
    models: tuple[ModelKey, ...]
    """Models to load; consecutive workloads with the same models share their servers."""
    kinds: tuple[RequestKind, ...]
    """Kinds of request, sent in rotation."""
    concurrency: int
    requests: int
    """Number of requests per round and side."""
    job: Job | None = None
    """Computation of the bare engine; None leaves it out."""
    one_by_one: bool = False
    """Mode of the bare engine: one recording at a time in one process, instead of batches on all cores."""
    bare_threads: int | None = None
    """Threads of the bare engine if `one_by_one`; None for the number of cores."""
    replicas: int | None = None
    """Replicas of each model; None for the number of cores."""
    naive: bool = True
    stock: RequestKind | None = None
    """Shorter recording for the naive server, whose figures are scaled by the number of windows."""
    background: RequestKind | None = None
    """Request that is in flight throughout."""
    repeated: float = 0.0
    """Share of the requests that repeat the recording of an earlier one, 0 to 1."""

    def one_round(self, stock: bool) -> list[RequestKind]:
        """Return the requests of one round; with `stock`, those of the naive server."""
        kinds = (self.stock,) if stock and self.stock else self.kinds
        return [kinds[index % len(kinds)] for index in range(self.requests)]

    def warm_up(self, stock: bool) -> list[RequestKind]:
        """Return the requests to send before the first round."""
        kinds = self.one_round(stock)[: 2 * self.concurrency]
        # Our networks compile kernels for each length that they see; the naive ones do not.
        return [replace(kind, seconds=min(kind.seconds, WARM_UP_S)) for kind in kinds] if stock else kinds

    @property
    def stock_scale(self) -> float:
        """Number of windows of the recording, relative to that of the stock recording."""
        return 1.0 if self.stock is None else windows(self.kinds[0].seconds) / windows(self.stock.seconds)


def windows(seconds: float) -> float:
    """Return the number of diarization windows, which are 10 s long with a hop of 1 s."""
    return max(1.0, seconds - 9.0)


def all_workloads(
    conversation_s: float = 300.0, stock_s: float = 30.0, long_s: float = 3600.0
) -> list[Workload]:
    """Return every workload.

    Args:
        conversation_s: Seconds of the diarized conversation.
        stock_s: Seconds of the recording for the naive server, which takes two seconds per second of audio.
        long_s: Seconds of the recording that is diarized in the background while short clips are answered.
    """
    diarize = RequestKind("/diarize", conversation_s)
    stock = RequestKind("/diarize", stock_s) if stock_s < conversation_s else None
    embedding_alone = Workload("embedding-alone", (*VOICES, DIARIZATION), (EMBED,), 2, 100, naive=False)
    return [
        Workload(
            "language-10s", VOICES, (RequestKind("/detect-language", 10.0),), 1, 30,
            job=Job.LANGUAGE, one_by_one=True, bare_threads=1,
        ),
        Workload("embedding-1", VOICES, (EMBED,), 1, 20, job=Job.EMBEDDING),
        Workload("embedding-8", VOICES, (EMBED,), 8, 48, job=Job.EMBEDDING),
        Workload("embedding-varied", VOICES, (VARIED,), 8, 48, job=Job.EMBEDDING),
        Workload("embedding-32", VOICES, (EMBED,), 32, 128, job=Job.EMBEDDING),
        Workload("embedding-repeated", VOICES, (EMBED,), 32, 128, job=Job.EMBEDDING, repeated=0.1),
        Workload("deepfake", (ModelKey.DEEPFAKE,), (DEEPFAKE,), 1, 2, job=Job.DEEPFAKE),
        Workload("accent", (ModelKey.ACCENT_XLSR,), (RequestKind("/identify", 6.0),), 4, 12, job=Job.ACCENT),
        Workload(
            "diarization", (DIARIZATION,), (diarize,), 1, 1,
            job=Job.DIARIZATION, one_by_one=True, stock=stock,
        ),
        Workload(
            "analyze", ALL, (RequestKind("/v1/analyze?allow_no_speech=true", 30.0),), 1, 1,
            job=Job.ANALYZE, one_by_one=True, replicas=1,
        ),
        Workload("mixed", (*VOICES, ModelKey.DEEPFAKE), (*(EMBED,) * 9, DEEPFAKE), 8, 40),
        embedding_alone,
        replace(embedding_alone, name="embedding-beside", background=RequestKind("/diarize", long_s)),
    ]  # fmt: skip


def quick(workload: Workload) -> Workload:
    """Return the workload with very few requests, for a smoke test."""
    requests = max(len(set(workload.kinds)), min(workload.requests, workload.concurrency + 2))
    return replace(workload, requests=requests, kinds=tuple(dict.fromkeys(workload.kinds)))
