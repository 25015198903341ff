"""The routing rule: the language spoken decides which speaker encoder embeds the voice."""

from config.settings import ModelKey

ASIAN_LANGUAGES = frozenset({"zh", "cmn", "yue", "ja", "ko", "th", "vi"})
"""Languages whose voices go to the CN-Celeb encoder."""


def encoder_for(language: str) -> ModelKey:
    """The speaker encoder for a language.

    Args:
        language: An ISO 639 code, as `LanguageResult.language`.

    Returns:
        CN-Celeb for the languages of `ASIAN_LANGUAGES`, VoxCeleb for all others, unknown ones included.
    """
    return ModelKey.SPEAKER_CNCELEB if language in ASIAN_LANGUAGES else ModelKey.SPEAKER_VOXCELEB
