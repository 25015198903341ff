"""Comparison: one space, the gates before any score, and every voice in the order it was given."""

import numpy as np
import pytest

from gallery.calibration import Calibration
from gallery.comparison import Comparison
from gallery.search import Profile, VoiceMatrix, centroids
from voxgraph.results.gallery import Decision, Evidence, GalleryPolicy, Observation, Space, VoiceSample

OLD, NEW = Space("encoder", "1", 64), Space("encoder", "2", 64)
FITTED = Calibration(score=20.0, offset=-8.0)
VOICES = dict(zip("abcd", np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32), strict=True))


def matrix(names: str, dim: int = 64) -> VoiceMatrix:
    return VoiceMatrix({name: Profile(centroids(VOICES[name][np.newaxis]), 20.0) for name in names}, dim)


def heard(name: str, *spaces: Space, speech_s: float = 6.0, noise: float = 0.2, seed: int = 1) -> Observation:
    vector = VOICES[name] + noise * np.random.default_rng(seed).normal(size=64).astype(np.float32)
    return Observation(tuple(VoiceSample(space, vector) for space in spaces), Evidence(speech_s))


def comparison(**matrices: str) -> Comparison:
    by_space = {{"old": OLD, "new": NEW}[name]: matrix(names) for name, names in matrices.items()}
    return Comparison(by_space, GalleryPolicy(), dict.fromkeys(by_space, FITTED))


def test_a_voice_is_found_and_verified():
    gallery = comparison(new="abcd")
    (found,) = gallery.identify([heard("b", NEW)])
    assert (found.verdict.decision, found.verdict.name, found.space) == (Decision.MATCH, "b", NEW)
    assert gallery.verify(heard("b", NEW), "b").verdict.decision is Decision.MATCH
    assert gallery.verify(heard("b", NEW), "c").verdict.decision is Decision.NO_MATCH


def test_a_voice_of_another_space_is_never_scored():
    gallery = comparison(new="abcd")
    (found,) = gallery.identify([heard("b", OLD)])
    assert (found.verdict.decision, found.verdict.candidates) == (Decision.MODEL_MISMATCH, ())
    assert gallery.verify(heard("b", OLD), "b").verdict.decision is Decision.MODEL_MISMATCH


def test_the_space_with_most_speakers_is_taken_and_the_others_are_told():
    gallery = comparison(old="abc", new="cd")
    (found,) = gallery.identify([heard("b", NEW, OLD)])
    assert (found.space, found.verdict.name, found.not_compared) == (OLD, "b", ("d",))
    assert gallery.verify(heard("d", NEW, OLD), "d").space == NEW


def test_a_recording_that_a_gate_refuses_is_never_scored():
    gallery = comparison(new="abcd")
    for outcome in (
        *gallery.identify([heard("b", NEW, speech_s=1.0)]),
        gallery.verify(heard("b", NEW, speech_s=1.0), "b"),
    ):
        assert outcome.verdict.decision is Decision.NOT_ENOUGH_SPEECH
        assert outcome.verdict.candidates == ()


def test_somebody_who_is_left_out_is_neither_named_nor_a_candidate():
    (found,) = comparison(new="abcd").identify([heard("b", NEW)], without={"b"})
    assert found.verdict.decision is Decision.UNKNOWN
    assert "b" not in [each.name for each in found.verdict.candidates]


def test_voices_of_one_recording_are_named_one_to_one_and_in_their_order():
    gallery = comparison(new="abcd")
    voices = [heard("c", NEW), heard("a", NEW), heard("a", NEW, seed=5), heard("d", NEW, speech_s=0.5)]
    decisions = [each.verdict.decision for each in gallery.identify(voices)]
    assert decisions == [
        Decision.MATCH, Decision.AMBIGUOUS, Decision.AMBIGUOUS, Decision.NOT_ENOUGH_SPEECH,
    ]  # fmt: skip
    alone = gallery.identify(voices, exclusive=False)
    assert [each.verdict.name for each in alone] == ["c", "a", "a", None]


def test_a_batch_decides_as_each_voice_does_alone():
    gallery = comparison(new="abcd")
    voices = [heard(name, NEW, seed=seed) for seed, name in enumerate("abcdab")]
    together = gallery.identify(voices, exclusive=False)
    assert together == [gallery.identify([voice])[0] for voice in voices]


def test_an_empty_gallery_and_an_unknown_name():
    (found,) = Comparison({}, GalleryPolicy()).identify([heard("a", NEW)])
    assert found.verdict.decision is Decision.UNKNOWN
    assert comparison(new="a").verify(heard("a", NEW), "z").verdict.decision is Decision.NOT_ENROLLED


def test_duplicates_are_other_names_of_the_same_voice():
    twice = {
        name: Profile(centroids(VOICES[voice][np.newaxis]), 20.0)
        for name, voice in zip("xyz", "aab", strict=True)
    }
    gallery = Comparison({NEW: VoiceMatrix(twice, 64)}, GalleryPolicy(), {NEW: FITTED})
    (found,) = gallery.duplicates(VoiceSample(NEW, VOICES["a"]), 8.0, "x")
    assert (found.name, found.score) == ("y", 1.0)
    assert gallery.duplicates(VoiceSample(OLD, VOICES["a"]), 8.0, "x") == ()


def test_without_a_calibration_the_answer_says_so():
    gallery = Comparison({NEW: matrix("abcd")}, GalleryPolicy())
    (found,) = gallery.identify([heard("b", NEW)])
    assert not found.verdict.calibrated
    assert found.verdict.best.score == pytest.approx(1.0, abs=0.1)
