"""What is measured: which recordings, how many at a time, on which models."""

from dataclasses import dataclass, replace

from benchmarks.bare import Job
from benchmarks.load import Ask
from voxgraph.options import ModelKey

VOICES = (ModelKey.LANGUAGE, ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB)
DIARIZATION = ModelKey.DIARIZATION_COMMUNITY_1
ALL = (*VOICES, ModelKey.ACCENT_XLSR, ModelKey.DEEPFAKE, DIARIZATION)

EMBED = Ask("/extract-embedding", 3.0)
VARIED = replace(EMBED, spread_s=2.0)
DEEPFAKE = Ask("/audio/analyze-audio", 60.0)
WARM_UP_S = 12.0
"""Longest recording of the naive server's warm-up."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of the table per side."""

    name: str
    models: tuple[ModelKey, ...]
    """What it needs; workloads in a row that need the same share their servers."""
    asks: tuple[Ask, ...]
    """Sent in turn."""
    concurrency: int
    requests: int
    """Of each round and side."""
    job: Job | None = None
    """What the bare engine computes; None leaves it out."""
    one_by_one: bool = False
    """Whether the bare engine takes a recording at a time with `bare_threads`, not all cores in batches."""
    bare_threads: int | None = None
    """Of an engine that takes one by one; None: as many as there are cores."""
    replicas: int | None = None
    """Of each model; None: as many as there are cores."""
    naive: bool = True
    stock: Ask | None = None
    """A shorter recording for the naive server; its figures are scaled by windows."""
    background: Ask | None = None
    """A request that is in flight all the while."""

    def sent(self, stock: bool) -> list[Ask]:
        """The requests of one round, or those that the naive server gets in their place."""
        asks = (self.stock,) if stock and self.stock else self.asks
        return [asks[index % len(asks)] for index in range(self.requests)]

    def warm_up(self, stock: bool) -> list[Ask]:
        """Requests that come before the first round."""
        asks = self.sent(stock)[: 2 * self.concurrency]
        # The naive networks run any length alike; ours compile kernels for each that they see.
        return [replace(ask, seconds=min(ask.seconds, WARM_UP_S)) for ask in asks] if stock else asks

    @property
    def stock_scale(self) -> float:
        """How many times as many windows the recording has as the stock one."""
        return 1.0 if self.stock is None else windows(self.asks[0].seconds) / windows(self.stock.seconds)


def windows(seconds: float) -> float:
    """How many windows of 10 s, a second apart, diarization computes."""
    return max(1.0, seconds - 9.0)


def all_workloads(
    conversation_s: float = 300.0, stock_s: float = 30.0, long_s: float = 3600.0
) -> list[Workload]:
    """Every workload.

    Args:
        conversation_s: Seconds of the conversation that is diarized.
        stock_s: Seconds of what the naive server gets in its place; it takes a minute per half minute.
        long_s: Seconds of the file that is being diarized while short clips are answered.
    """
    diarize = Ask("/diarize", conversation_s)
    stock = Ask("/diarize", stock_s) if stock_s < conversation_s else None
    beside = Workload("embedding-alone", (*VOICES, DIARIZATION), (EMBED,), 2, 100, naive=False)
    return [
        Workload(
            "language-10s", VOICES, (Ask("/detect-language", 10.0),), 1, 30,
            job=Job.LANGUAGE, one_by_one=True, bare_threads=1,
        ),
        Workload("embedding-1", VOICES, (EMBED,), 1, 20, job=Job.EMBEDDING),
        Workload("embedding-8", VOICES, (EMBED,), 8, 48, job=Job.EMBEDDING),
        Workload("embedding-varied", VOICES, (VARIED,), 8, 48, job=Job.EMBEDDING),
        Workload("embedding-32", VOICES, (EMBED,), 32, 128, job=Job.EMBEDDING),
        Workload("deepfake", (ModelKey.DEEPFAKE,), (DEEPFAKE,), 1, 2, job=Job.DEEPFAKE),
        Workload("accent", (ModelKey.ACCENT_XLSR,), (Ask("/identify", 6.0),), 4, 12, job=Job.ACCENT),
        Workload(
            "diarization", (DIARIZATION,), (diarize,), 1, 1,
            job=Job.DIARIZATION, one_by_one=True, stock=stock,
        ),
        Workload(
            "analyze", ALL, (Ask("/v1/analyze", 30.0),), 1, 1, job=Job.ANALYZE, one_by_one=True, replicas=1
        ),
        Workload("mixed", (*VOICES, ModelKey.DEEPFAKE), (*(EMBED,) * 9, DEEPFAKE), 8, 40),
        beside,
        replace(beside, name="embedding-beside", background=Ask("/diarize", long_s)),
    ]  # fmt: skip


def quick(workload: Workload) -> Workload:
    """The same with hardly any requests, to see that it works."""
    requests = max(len(set(workload.asks)), min(workload.requests, workload.concurrency + 2))
    return replace(workload, requests=requests, asks=tuple(dict.fromkeys(workload.asks)))
