"""All answers about one recording."""

from dataclasses import dataclass

from voxgraph.results.accent import AccentResult
from voxgraph.results.deepfake import DeepfakeVerdict
from voxgraph.results.diarization import DiarizationResult
from voxgraph.results.language import LanguageResult
from voxgraph.results.speaker import SpeakerResult


@dataclass(frozen=True, slots=True)
class Analysis:
    """The answers about one recording; None for a task that was not requested."""

    language: LanguageResult | None = None
    speaker: SpeakerResult | None = None
    accent: AccentResult | None = None
    diarization: DiarizationResult | None = None
    deepfake: DeepfakeVerdict | None = None
