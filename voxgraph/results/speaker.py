"""The embedding of a voice."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from voxgraph.results.language import LanguageResult


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A voice as a vector in the embedding space of one encoder."""

    vector: npt.NDArray[np.float32]
    """Shape (192,), float32, not normalised."""
    model: str
    """Encoder; vectors of different encoders cannot be compared."""
    revision: str
    """Checkpoint of the encoder: a commit of the hub, or the source (``starter`` or ``local``) and
    a digest."""

    def normalized(self) -> "Embedding":
        """Return the embedding with a vector of length 1; a vector of zeros stays as it is."""
        length = max(float(np.linalg.norm(self.vector)), float(np.finfo(np.float32).tiny))
        return replace(self, vector=self.vector / length)


@dataclass(frozen=True, slots=True)
class SpeakerResult:
    """An embedding, and the language that determined its encoder."""

    embedding: Embedding
    language: LanguageResult | None
    """None if the caller named the encoder: then no language was detected."""
    speech_s: float | None = None
    """Seconds of speech in the recording; 0.0: none; None: nobody looked for it, or it cannot be told."""

    def heard(self, speech_s: float | None) -> "SpeakerResult":
        """Add the seconds of speech to the voice and to its language, as `LanguageResult.heard` sees them."""
        if self.language is None:
            return replace(self, speech_s=speech_s)
        language = self.language.heard(speech_s)
        return replace(self, language=language, speech_s=language.speech_s)
