"""Deployment of the diarization pipeline: whole recordings, or parts of a long one and their clustering."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from config.settings import EngineOptions
from deployments.loading import load_diarizer
from deployments.replica.batcher import UNFINISHED, Batcher, Progress
from deployments.replica.model_replica import ModelReplica, Pipeline, noise
from pipelines.samples import Samples, from_pcm16
from pipelines.steps import Steps
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import SpeakerCount
from voxgraph.results import DiarizationResult, ModelInfo, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint
    from pipelines.diarization.conversation import WindowDiarizer


T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Asked(Generic[T]):
    """What the diarizer is asked, in steps: it holds what has been done."""

    waveform: Waveform
    _steps: Steps[T] | None = field(default=None, init=False, repr=False)
    _result: T | None = field(default=None, init=False, repr=False)

    def steps(self, diarizer: "WindowDiarizer") -> Steps[T]:
        """Do the work."""
        raise NotImplementedError

    def go_on(self, diarizer: "WindowDiarizer") -> T | Literal[Progress.UNFINISHED]:
        """Take the next step; return the result if it was the last, and whenever asked again."""
        if self._result is None:
            self._steps = self._steps or self.steps(diarizer)
            try:
                next(self._steps)
            except StopIteration as end:
                self._result = end.value
            else:
                return UNFINISHED
        return self._result


@dataclass(slots=True, eq=False)
class Conversation(Asked[DiarizationResult]):
    """A whole recording, with what the caller knows about the number of its speakers."""

    speakers: SpeakerCount

    def steps(self, diarizer: "WindowDiarizer") -> Steps[DiarizationResult]:
        """Find who speaks when."""
        outputs = yield from diarizer.windows.steps(self.waveform)
        return diarizer.turns(outputs, len(self.waveform), self.speakers)


@dataclass(slots=True, eq=False)
class Part(Asked[WindowOutputs]):
    """Some consecutive sliding windows of a recording."""

    def steps(self, diarizer: "WindowDiarizer") -> Steps[WindowOutputs]:
        """Run the networks on each window."""
        return diarizer.windows.steps(self.waveform)


@dataclass(slots=True, eq=False)
class Listening(Asked[float]):
    """A recording or a part of one, in which speech is looked for and no speakers."""

    def steps(self, diarizer: "WindowDiarizer") -> Steps[float]:
        """Find the seconds of speech."""
        return diarizer.speech_steps(self.waveform)


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """The network outputs of all parts of a recording, sorted by start and ready for clustering."""

    outputs: Sequence[WindowOutputs]
    samples: int
    """Number of samples in the whole recording."""
    speakers: SpeakerCount

    def go_on(self, diarizer: "WindowDiarizer") -> DiarizationResult:
        """Cluster the speakers and find who speaks when."""
        from pipelines.diarization.windows import concatenate

        whole = concatenate(self.outputs, sum(len(part.speech) for part in self.outputs))
        return diarizer.turns(whole, self.samples, self.speakers)


Item = Conversation | Part | Listening | Conclusion
Result = DiarizationResult | WindowOutputs | float
Found = Result | Literal[Progress.UNFINISHED]


class ItemwiseDiarizer:
    """Gives a diarizer the call signature of the batched pipelines; it batches the windows of each item.

    Not thread-safe, but for conclusions, which ask no network.
    """

    def __init__(self, diarizer: "WindowDiarizer") -> None:
        self._diarizer = diarizer
        self.info: ModelInfo = diarizer.info
        self.min_samples: int = diarizer.min_samples

    def __call__(self, items: list[Item]) -> list[Result]:
        """Answer the items one after the other."""
        results: list[Result] = []
        for item in items:
            while (found := self.step([item])[0]) is UNFINISHED:
                pass
            results.append(found)
        return results

    def step(self, items: list[Item]) -> list[Found]:
        """Take the next step of each item."""
        from pipelines.vendored.process import full_float32

        with full_float32():
            return [item.go_on(self._diarizer) for item in items]


class Diarization(ModelReplica[Item, Result]):
    """Serves the diarization pipeline: a long recording in parts, so that several replicas share it."""

    supports_batching = False
    _pipeline: ItemwiseDiarizer
    _concluder: Batcher[Item, Result] | None = None

    async def diarize(self, samples: Samples, speakers: SpeakerCount) -> DiarizationResult:
        """Find who speaks when; `samples` is a top-level argument, so it may be an object reference."""
        result = await self.answer(Conversation(from_pcm16(samples), speakers))
        assert isinstance(result, DiarizationResult)
        return result

    async def speech_seconds(self, samples: Samples, goes_on: bool = False) -> float:
        """Find the seconds of speech in a recording or a part of one, by the segmentation alone.

        Args:
            samples: The recording, or the part.
            goes_on: Whether it is a part of a longer one.
        """
        result = await self.answer(Listening(from_pcm16(samples)), goes_on)
        assert isinstance(result, float)
        return result

    async def windows(self, samples: Samples) -> WindowOutputs:
        """Run the networks on one part from `pipelines.chunking.conversation_parts`."""
        result = await self.answer(Part(from_pcm16(samples)), goes_on=True)
        assert isinstance(result, WindowOutputs)
        return result

    async def turns(
        self, outputs: Sequence[WindowOutputs], samples: int, speakers: SpeakerCount
    ) -> DiarizationResult:
        """Find who speaks when in `samples` samples, from the outputs of `windows` for all parts of them.

        It asks no network, and runs in a thread of its own: hours take seconds.
        """
        self._check_loaded()
        if self._concluder is None:
            self._concluder = Batcher(self._pipeline, lambda _: 0.0, self._tunables, best_items=1)
        result = await self._concluder.submit(Conclusion(outputs, samples, speakers))
        assert isinstance(result, DiarizationResult)
        return result

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Item, Result]:
        """Load networks and clustering."""
        return ItemwiseDiarizer(load_diarizer(checkpoint, device, engine))

    async def check_health(self) -> None:
        """Do what the base class does; raise as well if no conversation can be concluded any more."""
        if self._concluder is not None:
            self._concluder.check_alive()
        await super().check_health()

    def run_items(self, items: list[Item]) -> list[Found]:
        """Take the next step of each item."""
        return self._pipeline.step(items)

    def samples_of(self, item: Item) -> int:
        """Return the number of samples in an item; 0 for a conclusion, whose parts were counted before."""
        return 0 if isinstance(item, Conclusion) else len(item.waveform)

    def warm_up_item(self) -> Item:
        """Return `warm_up_s` seconds of quiet noise."""
        return Conversation(noise(self.warm_up_s), SpeakerCount())

    async def __del__(self) -> None:
        """Close both batchers when Serve stops the replica."""
        if self._concluder is not None:
            await self._concluder.close()
        await super().__del__()
