"""Deployment of the diarization pipeline: whole recordings, or parts of a long one and their clustering."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.settings import EngineOptions
from deployments.loading import load_diarizer
from deployments.replica.model_replica import ModelReplica, Pipeline, noise
from deployments.transport.clips import Samples, from_pcm16
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import SpeakerCount
from voxgraph.results import DiarizationResult, ModelInfo, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint
    from pipelines.diarization.conversation import WindowDiarizer


@dataclass(frozen=True, slots=True, eq=False)
class Conversation:
    """A whole recording, with what the caller knows about the number of its speakers."""

    waveform: Waveform
    speakers: SpeakerCount

    def run(self, diarizer: "WindowDiarizer") -> DiarizationResult:
        """Find who speaks when."""
        return diarizer(self.waveform, self.speakers)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some consecutive sliding windows of a recording."""

    waveform: Waveform

    def run(self, diarizer: "WindowDiarizer") -> WindowOutputs:
        """Run the networks on each window."""
        return diarizer.windows(self.waveform)


@dataclass(frozen=True, slots=True, eq=False)
class Listening:
    """A recording or a part of one, in which speech is looked for and no speakers."""

    waveform: Waveform

    def run(self, diarizer: "WindowDiarizer") -> float:
        """Find the seconds of speech."""
        return diarizer.speech_seconds(self.waveform)


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """The network outputs of all parts of a recording, sorted by start and ready for clustering."""

    outputs: Sequence[WindowOutputs]
    samples: int
    """Number of samples in the whole recording."""
    speakers: SpeakerCount

    def run(self, diarizer: "WindowDiarizer") -> DiarizationResult:
        """Cluster the speakers and find who speaks when."""
        from pipelines.diarization.windows import concatenate

        whole = concatenate(self.outputs, sum(len(part.speech) for part in self.outputs))
        return diarizer.turns(whole, self.samples, self.speakers)


Item = Conversation | Part | Listening | Conclusion
Result = DiarizationResult | WindowOutputs | float


class ItemwiseDiarizer:
    """Gives a diarizer the call signature of the batched pipelines; it batches the windows of each item."""

    def __init__(self, diarizer: "WindowDiarizer") -> None:
        self._diarizer = diarizer
        self.info: ModelInfo = diarizer.info
        self.min_samples: int = diarizer.min_samples

    def __call__(self, items: list[Item]) -> list[Result]:
        """Answer the items one after the other."""
        return [item.run(self._diarizer) for item in items]


class Diarization(ModelReplica[Item, Result]):
    """Serves the diarization pipeline: a long recording in parts, so that several replicas share it."""

    supports_batching = False

    async def diarize(self, samples: Samples, speakers: SpeakerCount) -> DiarizationResult:
        """Find who speaks when; `samples` is a top-level argument, so it may be an object reference."""
        result = await self.answer(Conversation(from_pcm16(samples), speakers))
        assert isinstance(result, DiarizationResult)
        return result

    async def speech_seconds(self, samples: Samples) -> float:
        """Find the seconds of speech in a recording or a part of one, by the segmentation alone."""
        result = await self.answer(Listening(from_pcm16(samples)))
        assert isinstance(result, float)
        return result

    async def windows(self, samples: Samples) -> WindowOutputs:
        """Run the networks on one part from `pipelines.chunking.conversation_parts`."""
        result = await self.answer(Part(from_pcm16(samples)))
        assert isinstance(result, WindowOutputs)
        return result

    async def turns(
        self, outputs: Sequence[WindowOutputs], samples: int, speakers: SpeakerCount
    ) -> DiarizationResult:
        """Find who speaks when in `samples` samples, from the outputs of `windows` for all parts of them."""
        result = await self.answer(Conclusion(outputs, samples, speakers))
        assert isinstance(result, DiarizationResult)
        return result

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Item, Result]:
        """Load networks and clustering; on a CPU, they run at a lower priority than other models."""
        from pipelines.vendored.process import lower_cpu_priority

        lower_cpu_priority(device)
        return ItemwiseDiarizer(load_diarizer(checkpoint, device, engine))

    def samples_of(self, item: Item) -> int:
        """Return the number of samples in an item; 1 for a conclusion, whose parts were counted before."""
        return 1 if isinstance(item, Conclusion) else len(item.waveform)

    def warm_up_item(self) -> Item:
        """Return `warm_up_s` seconds of quiet noise."""
        return Conversation(noise(self.warm_up_s), SpeakerCount())
