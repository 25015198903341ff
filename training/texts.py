"""Sentences of frequent words; the words of training and of evaluation are two sets."""

import re
from functools import cache
from zlib import crc32

import numpy as np

SPOKEN = {
    "zh": "cmn-latn-pinyin", "ja": "ja", "ko": "ko", "vi": "vi", "en": "en-us", "es": "es", "fr": "fr",
    "de": "de", "it": "it", "ru": "ru", "hi": "hi", "id": "id",
}  # fmt: skip
"""VoxLingua107's code of each language and espeak-ng's voice of it."""

ASIAN = frozenset({"zh", "ja", "ko", "vi"})
"""Those whose voices go to the CN-Celeb encoder."""

WORDS = 4_000
HELD_OUT_OF = 4
"""A word in this many is heard in evaluation only."""

_WRITTEN = {"ja": re.compile(r"[ぁ-ゖァ-ヺー]{2,}")}
"""espeak-ng spells out the kanji that it meets: words of kana alone."""
_ANY = re.compile(r"[^\W\d_]{2,}")
_ONE_OR_MORE = re.compile(r"[^\W\d_a-z]+")


@cache
def vocabulary(language: str, held_out: bool) -> tuple[str, ...]:
    """Frequent words of a language, as espeak-ng reads them."""
    # Only here, as pyworld elsewhere: what trains is not installed where only its results are used.
    import wordfreq
    from pypinyin import Style, lazy_pinyin

    pattern = _WRITTEN.get(language, _ONE_OR_MORE if language in ("zh", "ko", "hi") else _ANY)
    # Marks of vowels are letters to a reader and not to \w.
    words = [
        word
        for word in wordfreq.top_n_list(language, 4 * WORDS)
        if language == "hi" or pattern.fullmatch(word)
    ][:WORDS]
    chosen = [word for word in words if (crc32(word.encode()) % HELD_OUT_OF == 0) is held_out]
    if language == "zh":
        chosen = [
            " ".join(lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True)) for word in chosen
        ]
    return tuple(chosen)


def sentence(language: str, words: int, generator: np.random.Generator, *, held_out: bool) -> str:
    """Words drawn from the vocabulary, in no order of grammar."""
    return " ".join(generator.choice(np.array(vocabulary(language, held_out), dtype=object), words))
