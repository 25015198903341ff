"""Random sentences of frequent words; training and evaluation use disjoint vocabularies."""

import re
from functools import cache
from zlib import crc32

import numpy as np

DIALECTS = {
    "zh": "cmn-latn-pinyin", "ja": "ja", "ko": "ko", "vi": "vi", "en": "en-us", "es": "es", "fr": "fr",
    "de": "de", "it": "it", "ru": "ru", "hi": "hi", "id": "id",
}  # fmt: skip
"""espeak-ng's language name for each VoxLingua107 code."""

ASIAN = frozenset({"zh", "ja", "ko", "vi"})
"""Languages that are routed to the CN-Celeb encoder."""

VOCABULARY_WORDS = 4_000
HELD_OUT_EVERY = 4
"""One word in this many is reserved for evaluation."""

_ANY_WORD = re.compile(r"[^\W\d_]{2,}")
_NON_LATIN_WORD = re.compile(r"[^\W\d_a-z]+")
_KANA_WORD = re.compile(r"[ぁ-ゖァ-ヺー]{2,}")
_PATTERNS = {"ja": _KANA_WORD, "zh": _NON_LATIN_WORD, "ko": _NON_LATIN_WORD}
"""Words used, by language, else `_ANY_WORD`; Japanese words without kanji, which espeak-ng spells out."""


@cache
def vocabulary(language: str, held_out: bool) -> tuple[str, ...]:
    """Return frequent words of a language in the spelling that espeak-ng reads."""
    # Imported here because they are in the training extra, which the tests do not install.
    import wordfreq
    from pypinyin import Style, lazy_pinyin

    pattern = _PATTERNS.get(language, _ANY_WORD)
    # Hindi words are not filtered: \w does not match Devanagari vowel signs.
    words = [
        word
        for word in wordfreq.top_n_list(language, 4 * VOCABULARY_WORDS)
        if language == "hi" or pattern.fullmatch(word)
    ][:VOCABULARY_WORDS]
    chosen = [word for word in words if (crc32(word.encode()) % HELD_OUT_EVERY == 0) is held_out]
    if language == "zh":
        chosen = [
            " ".join(lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True)) for word in chosen
        ]
    return tuple(chosen)


def sentence(language: str, words: int, generator: np.random.Generator, *, held_out: bool) -> str:
    """Draw random words from the vocabulary, without grammar."""
    return " ".join(generator.choice(np.array(vocabulary(language, held_out), dtype=object), words))
