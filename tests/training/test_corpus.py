"""Corpora: training and evaluation share no voice, word or speaking rate."""

from pathlib import Path

import numpy as np
import pytest

from training import corpus, texts
from training.corpus import Clip, Utterance
from training.recipes import CORPORA, RECIPES, select_clips
from training.voices import HELD_OUT_RATES, HELD_OUT_VARIANTS, TRAINING_RATES, TRAINING_VARIANTS


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the word lists, which the tests do not install, by one word per language and set."""
    monkeypatch.setattr(texts, "vocabulary", lambda language, held_out: (f"{language}-{held_out}",))


@pytest.mark.parametrize("make", [corpus.multilingual, corpus.accented])
def test_training_and_evaluation_share_no_voice_word_or_rate(make: object) -> None:
    trained = make(200, 1, held_out=False)  # type: ignore[operator]
    tested = make(200, 2, held_out=True)  # type: ignore[operator]

    for field in ("voice", "text", "rate"):
        assert not {getattr(u, field) for u in trained} & {getattr(u, field) for u in tested}
    assert not {u.voice.name for u in trained} & {u.voice.name for u in tested}


def test_variants_and_rates_of_training_and_evaluation_are_disjoint() -> None:
    assert not set(TRAINING_VARIANTS) & set(HELD_OUT_VARIANTS)
    assert not set(TRAINING_RATES) & set(HELD_OUT_RATES)
    assert len(set(TRAINING_VARIANTS)) == len(TRAINING_VARIANTS)


def test_every_language_and_accent_is_spoken() -> None:
    assert {u.language for u in corpus.multilingual(120, 1, held_out=False)} == set(texts.DIALECTS)
    accents = [u.accent for u in corpus.accented(400, 1, held_out=False)]
    assert set(accents) == set(corpus.ACCENTS)
    assert accents.count("us") == 200


def test_flite_voices_speak_only_their_own_accent() -> None:
    for utterance in corpus.accented(400, 3, held_out=False):
        if utterance.voice.engine == "flite":
            assert corpus.FLITE_ACCENTS[utterance.voice.name] == utterance.accent


def test_a_corpus_is_synthesized_once_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Utterance] = corpus.multilingual(6, 1, held_out=False)
    generator = np.random.default_rng(0)
    clips = [
        Clip((0.1 * generator.normal(size=20_000)).astype(np.float32), u.voice.name, u.language, "")
        for u in made
    ]
    monkeypatch.setattr(corpus, "_in_processes", lambda *_: iter([*clips[:3], None, *clips[3:]]))

    first = corpus.load_or_make(tmp_path / "a" / "x.npz", lambda: made, lambda *_: None)
    monkeypatch.setattr(corpus, "_in_processes", lambda *_: pytest.fail("synthesized again"))
    second = corpus.load_or_make(tmp_path / "a" / "x.npz", lambda: made, lambda *_: None)

    assert len(first) == len(second) == 6
    for clip, kept, again in zip(clips, first, second, strict=True):
        assert (kept.speaker, kept.language) == (clip.speaker, clip.language)
        assert np.abs(kept.waveform - clip.waveform).max() < 1e-4
        assert np.array_equal(kept.waveform, again.waveform)


def test_a_recipe_draws_its_clips_with_its_seed() -> None:
    clips = [Clip(np.zeros(1, np.float32), f"voice{n}", "zh" if n % 2 else "en", "") for n in range(50)]
    recipe = RECIPES["speaker_cnceleb"]

    assert select_clips(recipe, clips) == select_clips(recipe, clips)
    assert {clip.language for clip in select_clips(recipe, clips)} == {"zh"}
    assert {recipe.corpus for recipe in RECIPES.values()} <= {
        name for name, c in CORPORA.items() if not c.held_out
    }
