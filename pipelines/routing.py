"""Choose the speaker encoder by the spoken language."""

import math
from collections.abc import Sequence

from config.checkpoints import CHECKPOINTS
from config.settings import CNCELEB_MIN_PROBABILITY
from config.starter_checkpoints import STARTER_CHECKPOINTS
from voxgraph.errors import SpaceMismatch
from voxgraph.options import ModelKey
from voxgraph.results import LanguageResult

ASIAN_LANGUAGES = frozenset({"zh", "cmn", "yue", "ja", "ko", "th", "vi"})
"""ISO 639 codes of the languages whose voices the CN-Celeb encoder embeds."""

ENCODERS = (ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB)


def encoder_for(language: str) -> ModelKey:
    """Return the speaker encoder for a language.

    Args:
        language: ISO 639 code from `LanguageResult.language`.

    Returns:
        CN-Celeb for `ASIAN_LANGUAGES`, VoxCeleb for all other codes, unknown ones included.
    """
    return ModelKey.SPEAKER_CNCELEB if language in ASIAN_LANGUAGES else ModelKey.SPEAKER_VOXCELEB


def encoder_of(language: LanguageResult, minimum: float = CNCELEB_MIN_PROBABILITY) -> ModelKey:
    """Return the speaker encoder for a recording.

    Args:
        language: Language of the recording.
        minimum: Summed probability of `ASIAN_LANGUAGES`, 0..1, from which CN-Celeb embeds the voice.

    Returns:
        CN-Celeb if the language is known and the sum reaches the minimum, otherwise VoxCeleb.
    """
    shares = (share for code, share in language.probabilities.items() if code in ASIAN_LANGUAGES)
    is_asian = language.is_known and math.fsum(shares) >= minimum
    return ModelKey.SPEAKER_CNCELEB if is_asian else ModelKey.SPEAKER_VOXCELEB


def common_encoder(languages: Sequence[LanguageResult], minimum: float = CNCELEB_MIN_PROBABILITY) -> ModelKey:
    """Return one speaker encoder for recordings that are to be compared.

    Args:
        languages: The language of each recording; at least one.
        minimum: As for `encoder_of`.

    Returns:
        The encoder of the language with the highest confidence; an unknown one counts only where all are.
    """
    surest = max(languages, key=lambda result: (result.is_known, result.confidence))
    return encoder_of(surest, minimum)


def encoder_by_hub_id(hub_id: str) -> ModelKey:
    """Return the speaker encoder with this hub id.

    Args:
        hub_id: `Embedding.model` of an embedding.

    Raises:
        SpaceMismatch: No encoder of this graph has that name.
    """
    # The starter checkpoint takes both places: either key embeds into its space.
    keys = {STARTER_CHECKPOINTS[key].hub_id: key for key in reversed(ENCODERS)}
    keys |= {CHECKPOINTS[key].hub_id: key for key in ENCODERS}
    if hub_id not in keys:
        names = ", ".join(keys)
        raise SpaceMismatch(f"The embedding comes from {hub_id}; the known encoders are {names}.")
    return keys[hub_id]
