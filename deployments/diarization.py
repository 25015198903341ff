"""The diarization pipeline as a deployment: whole conversations, or parts of one and their conclusion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.settings import EngineOptions
from deployments.replica.model_replica import ModelReplica, Pipeline, noise
from deployments.transport.clips import Samples, from_pcm16
from pipelines.window_outputs import WindowOutputs
from voxgraph.options import SpeakerCount
from voxgraph.results import DiarizationResult, ModelInfo, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint
    from pipelines.diarization import Diarizer


@dataclass(frozen=True, slots=True, eq=False)
class Conversation:
    """A recording and what is known about the number of its speakers."""

    waveform: Waveform
    speakers: SpeakerCount

    @property
    def samples(self) -> int:
        """Length of the recording."""
        return len(self.waveform)

    def ask(self, diarizer: "Diarizer") -> DiarizationResult:
        """Who speaks when."""
        return diarizer(self.waveform, self.speakers)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some consecutive windows of a recording."""

    waveform: Waveform

    @property
    def samples(self) -> int:
        """Length of the part."""
        return len(self.waveform)

    def ask(self, diarizer: "Diarizer") -> WindowOutputs:
        """What the networks say of each window."""
        return diarizer.windows(self.waveform)


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """What was said of all parts of a recording, by start, waiting to be clustered."""

    findings: Sequence[WindowOutputs]
    samples: int
    """Length of the whole recording."""
    speakers: SpeakerCount

    def ask(self, diarizer: "Diarizer") -> DiarizationResult:
        """Who speaks when."""
        from pipelines.diarization.windows import joined

        whole = joined(self.findings, sum(len(part.speech) for part in self.findings))
        return diarizer.turns(whole, self.samples, self.speakers)


Item = Conversation | Part | Conclusion
Result = DiarizationResult | WindowOutputs


class OneByOne:
    """A diarizer in the call shape of the batched pipelines: its windows are its batches."""

    def __init__(self, diarizer: "Diarizer") -> None:
        self._diarizer = diarizer
        self.info: ModelInfo = diarizer.info
        self.min_samples: int = diarizer.min_samples

    def __call__(self, items: list[Item]) -> list[Result]:
        """Answer each item in turn."""
        return [item.ask(self._diarizer) for item in items]


class Diarization(ModelReplica[Item, Result]):
    """Adds to `pipelines.diarization`: a replica's device, a queue, health."""

    supports_batching = False

    async def diarize(self, samples: Samples, speakers: SpeakerCount) -> DiarizationResult:
        """Who speaks when; the recording is a top-level argument, so it may be an object reference."""
        result = await self.answer(Conversation(from_pcm16(samples), speakers))
        assert isinstance(result, DiarizationResult)
        return result

    async def windows(self, samples: Samples) -> WindowOutputs:
        """What the networks say of a part, as `pipelines.chunking.conversation_parts` cuts it."""
        result = await self.answer(Part(from_pcm16(samples)))
        assert isinstance(result, WindowOutputs)
        return result

    async def turns(
        self, findings: Sequence[WindowOutputs], samples: int, speakers: SpeakerCount
    ) -> DiarizationResult:
        """Who speaks when, from what `windows` said of every part of a recording of so many samples."""
        result = await self.answer(Conclusion(findings, samples, speakers))
        assert isinstance(result, DiarizationResult)
        return result

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Item, Result]:
        """Load segmentation, embedding and clustering; on cores that others need too, after them."""
        from pipelines.diarization import Diarizer
        from pipelines.vendored.process import lower_cpu_priority

        lower_cpu_priority(device)
        return OneByOne(Diarizer(checkpoint, device, engine))

    def samples_of(self, item: Item) -> int:
        """Length of the recording, or of the part; of a conclusion next to none: its parts were counted."""
        return 1 if isinstance(item, Conclusion) else item.samples

    def warm_up_item(self) -> Item:
        """Some seconds of quiet noise by nobody."""
        return Conversation(noise(self.warm_up_s), SpeakerCount())
