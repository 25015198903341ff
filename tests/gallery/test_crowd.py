"""The crowd: what a plain loop says, whatever the order of enrolment, and what it does to decisions."""

import numpy as np
import pytest

from config.settings import STARTER, CheckpointSource, Size
from gallery.calibration import Calibration, shipped
from gallery.comparison import Comparison
from gallery.crowd import CROWD, crowded, crowds, shipped_cohort
from gallery.decisions import decide_identify, decide_verify
from gallery.search import Profile, VoiceMatrix, centroids
from pipelines.checkpoints import locate
from voxgraph.options import ModelKey
from voxgraph.results.gallery import Decision, Evidence, GalleryPolicy, Observation, Space, VoiceSample

DIM = 192
SPACE = Space("encoder", "1", DIM)
FITTED = Calibration(score=20.0, offset=-3.0, crowd=-10.0, usual=0.3)
NO_COHORT = np.zeros((0, DIM))


def reference(cosines: np.ndarray, cohort: np.ndarray, usual: float) -> list[float]:
    """The definition, one speaker after the other."""
    found = []
    for index in range(len(cosines)):
        others = sorted([*np.delete(cosines, index), *cohort], reverse=True)[:CROWD]
        similar = [np.arctanh(min(cosine, 0.999)) for cosine in others]
        found.append(float(np.mean([*similar, *[usual] * (CROWD - len(similar))])))
    return found


@pytest.mark.parametrize("speakers", [1, 2, CROWD, CROWD + 1, 60])
@pytest.mark.parametrize("cohort", [0, 1, CROWD, 32])
def test_the_crowd_is_the_mean_of_the_nearest_others(speakers, cohort):
    generator = np.random.default_rng(speakers + 100 * cohort)
    for _ in range(20):
        cosines, beside = generator.uniform(-0.9, 1.0, speakers), generator.uniform(-0.9, 1.0, cohort)
        # Equal scores are somebody's crowd, too.
        cosines[generator.integers(0, speakers, 3)] = 0.5
        np.testing.assert_allclose(
            crowds(cosines, beside, 0.4), reference(cosines, beside, 0.4), rtol=0, atol=1e-12
        )


def test_many_recordings_have_the_crowds_that_each_has_alone():
    cosines = np.random.default_rng(0).uniform(-1, 1, (7, 20))
    cohort = np.random.default_rng(1).uniform(-1, 1, (7, 5))
    together = crowds(cosines, cohort)
    for row in range(7):
        np.testing.assert_array_equal(together[row], crowds(cosines[row], cohort[row]))


@pytest.mark.parametrize("decimals", [1, 6])
def test_a_recording_alone_has_the_crowds_that_it_has_among_others(decimals):
    cosines = np.random.default_rng(decimals).normal(0, 0.2, (3, 9000)).clip(-1, 1).round(decimals)
    cohort = np.random.default_rng(2).uniform(-1, 1, (3, 32)).round(decimals)
    together = crowds(cosines, cohort, 0.4)
    for row in range(3):
        np.testing.assert_array_equal(together[row], crowds(cosines[row], cohort[row], 0.4))


def test_who_is_missing_counts_only_where_something_is_usual():
    assert crowds([0.2, 0.6], usual=None).tolist() == [np.arctanh(0.6), np.arctanh(0.2)]
    assert crowds([0.2], usual=0.7).tolist() == [0.7]
    assert crowds([0.2]).tolist() == [0.0]
    assert crowds([]).shape == (0,)


def enrolled(voices: np.ndarray) -> VoiceMatrix:
    return VoiceMatrix(
        {f"s{i:02}": Profile(centroids(voice[np.newaxis]), 20.0) for i, voice in enumerate(voices)}, DIM
    )


def test_the_order_of_enrolment_changes_no_crowd():
    generator = np.random.default_rng(0)
    voices = generator.normal(size=(40, DIM))
    query, names = generator.normal(size=DIM), [f"s{i:02}" for i in range(40)]
    profiles = {name: Profile(centroids(v[np.newaxis]), 20.0) for name, v in zip(names, voices, strict=True)}
    cohort = centroids(generator.normal(size=(1, DIM))).astype(float)
    found = []
    for order in (names, names[::-1]):
        matrix = VoiceMatrix({name: profiles[name] for name in order}, DIM)
        scores = crowded(matrix.scores(query), query, FITTED, cohort)
        assert scores.crowds is not None
        found.append(dict(zip(scores.names, scores.crowds, strict=True)))
    assert found[0] == found[1]


def test_a_calibration_of_before_leaves_the_scores_and_loads():
    before = {"score": 20.0, "offset": -8.0, "enrol": -1.0, "test": -2.0, "source": "", "targets": 40}
    calibration = Calibration.from_dict({**before, "impostors": 2000, "speakers": 20})
    assert (calibration.crowd, calibration.cohort) == (0.0, False)
    scores = enrolled(np.eye(4, DIM)).scores(np.ones(DIM))
    assert crowded(scores, np.ones(DIM), calibration, NO_COHORT) is scores
    expected = 20.0 * np.arctanh(0.5) - np.log(20.0) - 2 * np.log(6.0) - 8.0
    assert calibration.llr(0.5, 20.0, 6.0, 0.9) == pytest.approx(expected)


def crowd_of(similarity: float) -> np.ndarray:
    """Twelve voices of which any two have about this cosine."""
    generator = np.random.default_rng(0)
    shared = generator.normal(size=DIM) * np.sqrt(similarity / (1 - similarity))
    return np.asarray(shared + generator.normal(size=(12, DIM)))


def test_a_stranger_among_voices_that_are_alike_is_not_accepted():
    with_crowd = Calibration(score=20.0, offset=-1.8, crowd=-14.0, usual=0.3)
    voices = crowd_of(0.55)
    matrix, stranger = enrolled(voices[:-1]), voices[-1]
    scores = matrix.scores(stranger)
    nearest = scores.names[scores.best(1)[0]]
    # In the usual crowd the cosine would be enough.
    assert decide_verify(scores.of(nearest), with_crowd, 6.0, "balanced").decision is Decision.MATCH
    near = crowded(scores, stranger, with_crowd, NO_COHORT)
    assert decide_verify(near.of(nearest), with_crowd, 6.0, "balanced").decision is Decision.INCONCLUSIVE
    assert decide_identify(near, with_crowd, 6.0, "balanced").name is None
    own = voices[3] + 0.1 * np.random.default_rng(1).normal(size=DIM)
    known = crowded(matrix.scores(own), own, with_crowd, NO_COHORT)
    assert decide_identify(known, with_crowd, 6.0, "balanced").name == "s03"


def test_one_speaker_of_a_comparison_keeps_the_crowd_of_all():
    matrix, query = enrolled(crowd_of(0.5)), crowd_of(0.5)[2]
    scores = crowded(matrix.scores(query), query, FITTED, NO_COHORT)
    alone = scores.of("s02")
    assert (len(alone), alone.crowds) == (1, scores.crowds[2])
    with pytest.raises(KeyError):
        scores.of("nobody")


def test_a_verification_has_the_ratio_of_the_identification_and_its_crowd_only_those_who_may_be_compared():
    voices = crowd_of(0.5)
    gallery = Comparison({SPACE: enrolled(voices)}, GalleryPolicy(), {SPACE: FITTED})
    heard = Observation((VoiceSample(SPACE, voices[2].astype(np.float32)),), Evidence(speech_s=6.0))
    (named,) = gallery.identify([heard])
    verified = gallery.verify(heard, "s02").verdict.best
    assert named.verdict.best is not None
    assert verified is not None
    assert verified.llr == named.verdict.best.llr
    others = [f"s{index:02}" for index in range(12) if index != 2]
    # With nobody to stand out from, the crowd is the usual one.
    alone = gallery.verify(heard, "s02", without=[*others, "s02"]).verdict.best
    matrix = enrolled(voices)
    only = VoiceMatrix({"s02": matrix.profile("s02")}, matrix.dim)
    single = Comparison({SPACE: only}, GalleryPolicy(), {SPACE: FITTED})
    expected = single.verify(heard, "s02").verdict.best
    assert alone is not None
    assert expected is not None
    assert alone.llr == expected.llr
    assert alone.llr > verified.llr


def test_the_encoder_that_comes_with_the_repository_has_a_cohort_of_groups():
    found = locate(ModelKey.SPEAKER_VOXCELEB, CheckpointSource(source=STARTER, size=Size.STARTER))
    space = Space(found.row.hub_id, found.revision, 192)
    calibration = shipped(space)
    assert calibration is not None
    assert calibration.cohort
    assert calibration.crowd < 0
    cohort = shipped_cohort(space)
    assert cohort.shape[0] > CROWD
    assert cohort.shape[1] == 192
    np.testing.assert_allclose(np.linalg.norm(cohort, axis=1), 1.0)
    assert shipped_cohort(Space("somebody/elses", "1", 64)).shape == (0, 64)
