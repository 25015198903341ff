"""All answers about one recording."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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

    def named(self, names: Mapping[str, str]) -> "Analysis":
        """Write names in place of the labels of speakers."""
        return self if self.diarization is None else replace(self, diarization=self.diarization.named(names))
