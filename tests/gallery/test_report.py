"""Report: figures with intervals where the voices suffice, words where they do not."""

import numpy as np
import pytest
from scipy.stats import beta

from gallery.crowd import CROWD
from gallery.report import MOST_SPEAKERS, OwnReference, calibrate, drawn, interval_of, own_trials
from voxgraph.results.gallery import Space

DIM = 64
SPACE = Space("encoder", "1", DIM)


def gallery(speakers: int, references: int, noise: float, seed: int = 0) -> dict[str, list[OwnReference]]:
    generator = np.random.default_rng(seed)
    voices = generator.normal(size=(speakers, DIM))
    return {
        f"s{index:03}": [
            OwnReference((voice + noise * generator.normal(size=DIM)).astype(np.float32), 6.0 + number)
            for number in range(references)
        ]
        for index, voice in enumerate(voices)
    }


def test_separable_voices_give_a_calibration_and_its_figures():
    report, calibration = calibrate(SPACE, gallery(60, 3, 0.5))
    assert (report.enough_data, report.speakers, report.target_trials) == (True, 60, 180)
    assert report.impostor_trials == 180 * 59
    assert calibration is not None
    assert calibration.score > 0
    figures = report.figures
    assert figures["min_cllr"] <= figures["cllr"] < 0.1
    balanced = figures["verification"]["balanced"]
    assert balanced["far"]["trials"] > 1000
    assert balanced["far"]["low"] <= balanced["far"]["rate"] <= balanced["far"]["high"]
    assert [each["enrolled"] for each in figures["identification"]] == [10]
    point = figures["identification"][0]["points"]["balanced"]
    assert point["fpir"] < 0.02
    assert point["dir"] > 0.9
    assert report.det_plot.startswith(b"\x89PNG")


def test_too_few_voices_give_words_and_no_number():
    report, calibration = calibrate(SPACE, gallery(9, 2, 0.5))
    assert calibration is None
    assert (report.enough_data, dict(report.figures), report.det_plot) == (False, {}, None)
    assert "Not enough data to set a threshold" in report.message
    assert "18 of 30" in report.message


@pytest.mark.parametrize("references", [{}, gallery(3, 1, 0.5), {"nobody": []}])
def test_a_gallery_without_a_second_recording_is_not_enough(references):
    report, calibration = calibrate(SPACE, references)
    assert calibration is None
    assert report.target_trials == 0


def test_voices_that_overlap_set_no_threshold():
    report, calibration = calibrate(SPACE, gallery(60, 3, 12.0))
    assert calibration is None
    assert not report.enough_data


def test_a_reference_is_not_compared_with_itself():
    trials = own_trials(gallery(5, 2, 0.0), DIM)
    noisy = own_trials(gallery(5, 2, 1.0), DIM)
    assert trials.targets == noisy.targets == 10
    assert noisy.cosines[noisy.is_target].max() < 0.9


def test_the_crowd_of_a_trial_are_the_other_speakers_but_the_one_who_is_compared():
    references = gallery(14, 2, 0.5)
    trials = own_trials(references, DIM)
    names = list(references)
    profiles = {
        name: np.mean([each.vector / np.linalg.norm(each.vector) for each in own], axis=0)
        for name, own in references.items()
    }
    # The trials of a reference are those with all others, and then the one with its own speaker.
    for index in range(0, len(trials), 5):
        probe = references[names[trials.actual[index]]][index // 14 % 2].vector
        cosines = [
            profiles[name] @ probe / np.linalg.norm(profiles[name]) / np.linalg.norm(probe)
            for position, name in enumerate(names)
            if position not in (trials.actual[index], trials.claimed[index])
        ]
        expected = np.arctanh(sorted(cosines)[-CROWD:]).mean()
        assert trials.crowds[index] == pytest.approx(expected, abs=1e-5)


def test_voices_that_are_alike_make_a_crowd_count():
    generator = np.random.default_rng(3)
    # Half of the speakers are as different as chance makes them; the others share most of a voice.
    shared = 1.5 * generator.normal(size=DIM)
    references = {
        f"s{index:03}": [
            OwnReference((voice + 0.5 * generator.normal(size=DIM)).astype(np.float32), 6.0 + number)
            for number in range(3)
        ]
        for index in range(60)
        for voice in [generator.normal(size=DIM) + (shared if index % 4 < 2 else 0.0)]
    }
    _, calibration = calibrate(SPACE, references)
    assert calibration is not None
    assert calibration.crowd < -1.0
    assert not calibration.cohort


def test_the_order_of_enrolment_changes_no_figure():
    references = gallery(30, 3, 0.5)
    first, second = (
        calibrate(SPACE, dict(items)) for items in (references.items(), reversed(references.items()))
    )
    assert first == second


def test_large_galleries_are_drawn_from():
    counts = {f"s{index}": 2 if index % 3 else 1 for index in range(MOST_SPEAKERS + 20)}
    found = drawn(counts)
    assert len(found) == MOST_SPEAKERS
    assert {name for name, count in counts.items() if count > 1} <= set(found)


def test_intervals_are_clopper_and_pearsons():
    low, high = interval_of(3, 200)
    assert low == pytest.approx(beta.ppf(0.025, 3, 198))
    assert high == pytest.approx(beta.ppf(0.975, 4, 197))
    assert interval_of(0, 300)[1] == pytest.approx(0.0122, abs=1e-4)
    assert interval_of(0, 0) == (0.0, 1.0)
