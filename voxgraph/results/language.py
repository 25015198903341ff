"""The language that is spoken."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

UNKNOWN_LANGUAGE = "unknown"
"""Code and name of the language if a model cannot tell it."""
TOP_LANGUAGES = 5
"""Number of languages in an answer that does not list all of them."""
SURE_SPEECH_S = 3.0
"""Seconds of speech from which the language is told as surely as the cards of the checkpoints say."""


def shortness(speech_s: float) -> str | None:
    """Return a warning in a sentence if there is less than `SURE_SPEECH_S` of speech, else None."""
    if speech_s >= SURE_SPEECH_S:
        return None
    # Rounded down, or 2.96 s would be 3.0 s that are under 3 s.
    found = math.floor(10 * speech_s + 1e-6) / 10
    return f"Only {found:.1f} s of speech: under {SURE_SPEECH_S:g} s, the language is much less certain."


@dataclass(frozen=True, slots=True)
class LanguageResult:
    """The language that is spoken, with the posterior of every language."""

    language: str
    """ISO 639 code; the retired codes of VoxLingua107 (iw, jw) are replaced by he, jv. `UNKNOWN_LANGUAGE` if
    the model cannot tell; only Whisper answers that."""
    name: str
    """English name of the language."""
    confidence: float
    """Posterior probability of `language`, 0..1. If it is unknown: the probability that the most probable
    language is not spoken."""
    probabilities: dict[str, float]
    """Posterior probability of every language by code; they sum to 1."""
    calibrated: bool = False
    """Whether the probabilities were calibrated on labelled speech."""
    warning: str | None = None
    """Reason, in a sentence, why the answer is less certain than its probability says; None without one."""
    is_heard: bool = True
    """Whether a language that the model knows was heard at all; if not, the language is unknown even if only
    a few are allowed."""
    min_confidence: float = 0.0
    """Posterior probability below which the language is unknown."""
    is_speech: bool | None = None
    """Whether the model itself hears speech, of whatever language; None if it cannot tell."""
    speech_s: float | None = None
    """Seconds of speech in the recording; 0.0: none; None: nobody looked for it, or it cannot be told."""

    @property
    def is_known(self) -> bool:
        """Whether the model can tell the language."""
        return self.language != UNKNOWN_LANGUAGE

    def decided(self, names: Mapping[str, str]) -> "LanguageResult":
        """Take the most probable language, or unknown, by `is_heard` and `min_confidence`.

        Args:
            names: English name of each language of `probabilities`.
        """
        best = max(self.probabilities, key=self.probabilities.__getitem__)
        confidence = self.probabilities[best]
        if self.is_heard and confidence >= self.min_confidence:
            return replace(self, language=best, name=names[best], confidence=confidence)
        unknown = UNKNOWN_LANGUAGE
        return replace(self, language=unknown, name=unknown, confidence=1.0 - confidence)

    def heard(self, speech_s: float | None) -> "LanguageResult":
        """Add the seconds of speech that were found, and warn by them.

        If nobody looked, the model's own warning remains. It goes by the level, so that steady noise counts
        as speech. It remains, too, and the seconds cannot be told, if none were found although the model
        hears speech: pyannote's segmentation found none in 11 of 146 Spanish words spoken far from the
        microphone, in all of which the language starter hears speech. It hears none in 135 noises, tones and
        instruments, of which 110 were in its fit (its card has more).
        """
        if speech_s is None or (speech_s == 0.0 and self.is_speech):
            return replace(self, speech_s=None)
        return replace(self, speech_s=speech_s, warning=shortness(speech_s))

    def among(self, names: Mapping[str, str]) -> "LanguageResult":
        """Answer as if no other languages were spoken than the given ones.

        Args:
            names: English name by code, at least one; each is a key of `probabilities`.

        Returns:
            The result with the probabilities of these languages alone, which sum to 1. If all are too small
            for a float, they are equal and the language is unknown.
        """
        kept = {code: self.probabilities[code] for code in names}
        total = math.fsum(kept.values())
        if total == 0.0:
            equal = dict.fromkeys(kept, 1.0 / len(kept))
            return replace(self, probabilities=equal, is_heard=False).decided(names)
        shares = {code: probability / total for code, probability in kept.items()}
        return replace(self, probabilities=shares).decided(names)

    def top(self, count: int = TOP_LANGUAGES) -> dict[str, float]:
        """Return the posteriors of the `count` most probable languages, in descending order."""
        return dict(sorted(self.probabilities.items(), key=lambda pair: -pair[1])[:count])
