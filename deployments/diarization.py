"""The diarization pipeline as a deployment."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from config.settings import EngineOptions, SpeakerCount
from deployments.replica import ModelReplica, Pipeline, noise
from pipelines.results import DiarizationResult, ModelInfo, Waveform

if TYPE_CHECKING:
    from pipelines.checkpoints import LocatedCheckpoint
    from pipelines.diarization import Diarizer


@dataclass(frozen=True, slots=True, eq=False)
class Conversation:
    """A recording and what is known about the number of its speakers."""

    waveform: Waveform
    speakers: SpeakerCount


class OneByOne:
    """A diarizer in the call shape of the batched pipelines: its windows are its batches."""

    def __init__(self, diarizer: "Diarizer") -> None:
        self._diarizer = diarizer
        self.info: ModelInfo = diarizer.info
        self.min_samples: int = diarizer.min_samples

    def __call__(self, items: list[Conversation]) -> list[DiarizationResult]:
        """Diarize each conversation in turn."""
        return [self._diarizer(item.waveform, item.speakers) for item in items]


class Diarization(ModelReplica[Conversation, DiarizationResult]):
    """Adds to `pipelines.diarization`: a replica's device, a queue, health."""

    async def diarize(self, waveform: Waveform, speakers: SpeakerCount) -> DiarizationResult:
        """Who speaks when; the recording is a top-level argument, so it may be an object reference."""
        return await self.answer(Conversation(waveform, speakers))

    def load_pipeline(
        self, checkpoint: "LocatedCheckpoint", device: str, engine: EngineOptions
    ) -> Pipeline[Conversation, DiarizationResult]:
        """Load segmentation, embedding and clustering."""
        from pipelines.diarization import Diarizer

        return OneByOne(Diarizer(checkpoint, device, engine))

    def waveform_of(self, item: Conversation) -> Waveform:
        """The recording."""
        return item.waveform

    def warm_up_item(self) -> Conversation:
        """A second of quiet noise by nobody."""
        return Conversation(noise(self.warm_up_s), SpeakerCount())
