"""The routing rule: the language spoken decides which speaker encoder embeds the voice."""

from config.checkpoints import CHECKPOINTS
from voxgraph.errors import SpaceMismatch
from voxgraph.options import ModelKey

ASIAN_LANGUAGES = frozenset({"zh", "cmn", "yue", "ja", "ko", "th", "vi"})
"""Languages whose voices go to the CN-Celeb encoder."""

ENCODERS = (ModelKey.SPEAKER_VOXCELEB, ModelKey.SPEAKER_CNCELEB)


def encoder_for(language: str) -> ModelKey:
    """The speaker encoder for a language.

    Args:
        language: An ISO 639 code, as `LanguageResult.language`.

    Returns:
        CN-Celeb for the languages of `ASIAN_LANGUAGES`, VoxCeleb for all others, unknown ones included.
    """
    return ModelKey.SPEAKER_CNCELEB if language in ASIAN_LANGUAGES else ModelKey.SPEAKER_VOXCELEB


def encoder_named(hub_id: str) -> ModelKey:
    """The speaker encoder that an embedding says it is of.

    Args:
        hub_id: As `Embedding.model`.

    Raises:
        SpaceMismatch: No encoder of this graph has that name.
    """
    for key in ENCODERS:
        if CHECKPOINTS[key].hub_id == hub_id:
            return key
    known = " or ".join(CHECKPOINTS[key].hub_id for key in ENCODERS)
    raise SpaceMismatch(f"The embedding is of {hub_id}; the encoders here are {known}.")
