"""All answers about one recording."""

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
    speech_s: float | None = None
    """Seconds of speech in the recording; 0.0: none; None: nobody looked for it, or it cannot be told."""

    def heard(self, speech_s: float | None) -> "Analysis":
        """Add the seconds of speech, as `LanguageResult.heard` sees them, to the whole and to each answer."""
        language = self.language
        if language is None and self.speaker is not None:
            language = self.speaker.language
        if language is not None:
            speech_s = language.heard(speech_s).speech_s
        found = {name: getattr(self, name) for name in ("language", "speaker", "accent", "deepfake")}
        answers = {name: one.heard(speech_s) for name, one in found.items() if one is not None}
        return replace(self, speech_s=speech_s, **answers)
