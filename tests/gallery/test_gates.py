"""Gates: each refuses for its reason, says figure and limit, and what nobody measured refuses nothing."""

from dataclasses import replace

import numpy as np
import pytest

from gallery.calibration import Calibration
from gallery.gates import (
    check_agreement,
    check_duplicates,
    check_enrolment,
    probe_refusal,
    remaining_speech_s,
)
from voxgraph.results.gallery import Decision, Evidence, GalleryPolicy

GOOD = Evidence(speech_s=8.0, snr_db=25.0, clipped_ratio=0.0, bandwidth_hz=7800, speakers_heard=1)
POLICY = GalleryPolicy(spoof_gate="refuse")
CLEAR = replace(GOOD, spoof_verdict="no_sign_found", spoof_score=0.02)


def codes(found) -> tuple[list[str], list[str]]:
    return [each.code for each in found.reasons], [each.code for each in found.warnings]


def test_a_good_recording_passes_without_a_word():
    assert codes(check_enrolment(CLEAR, POLICY)) == ([], [])
    assert probe_refusal(CLEAR, POLICY) is None


@pytest.mark.parametrize(
    ("change", "code", "decision"),
    [
        ({"speech_s": 1.9}, "not_enough_speech", Decision.NOT_ENOUGH_SPEECH),
        ({"snr_db": 1.0}, "noise", Decision.LOW_QUALITY),
        ({"clipped_ratio": 0.02}, "clipped", Decision.LOW_QUALITY),
        ({"speakers_heard": 2}, "several_speakers", Decision.SEVERAL_SPEAKERS),
        ({"spoof_verdict": "ai_generated"}, "spoof_suspected", Decision.SPOOF_SUSPECTED),
    ],
)
def test_what_is_refused_names_its_reason(change, code, decision):
    evidence = replace(CLEAR, **change)
    found = check_enrolment(evidence, POLICY)
    assert codes(found) == ([code], [])
    assert found.reasons[0].message.endswith(".")
    assert probe_refusal(evidence, POLICY) is decision


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"snr_db": 7.0}, "noise"),
        ({"clipped_ratio": 0.002}, "clipped"),
        ({"bandwidth_hz": 3600}, "narrow_band"),
    ],
)
def test_what_is_poor_is_only_a_warning(change, code):
    evidence = replace(CLEAR, **change)
    assert codes(check_enrolment(evidence, POLICY)) == ([], [code])
    assert probe_refusal(evidence, POLICY) is None


@pytest.mark.parametrize(
    ("gate", "verdict", "expected"),
    [
        ("off", "ai_generated", ([], [])),
        ("warn", "ai_generated", ([], ["spoof_suspected"])),
        ("warn", "inconclusive", ([], ["spoof_inconclusive"])),
        ("warn", None, ([], [])),
        ("refuse", "inconclusive", ([], ["spoof_inconclusive"])),
        ("refuse", None, (["spoof_unchecked"], [])),
    ],
)
def test_the_spoof_gate_knows_three_verdicts_and_none(gate, verdict, expected):
    found = check_enrolment(replace(GOOD, spoof_verdict=verdict), GalleryPolicy(spoof_gate=gate))
    assert codes(found) == expected


def test_what_nobody_measured_refuses_nothing():
    assert codes(check_enrolment(Evidence(speech_s=8.0), GalleryPolicy())) == ([], [])


def test_the_missing_speech_is_told():
    assert remaining_speech_s(14.5, POLICY) == pytest.approx(5.5)
    assert remaining_speech_s(99.0, POLICY) == 0.0


def test_a_reference_of_another_voice_disagrees():
    generator = np.random.default_rng(0)
    voice, other = generator.normal(size=(2, 192)).astype(np.float32)
    near = voice + 0.1 * generator.normal(size=192).astype(np.float32)
    for calibration in (Calibration(score=20.0, offset=-10.0), None):
        assert codes(check_agreement(near, 8.0, [voice], 20.0, calibration)) == ([], [])
        assert codes(check_agreement(other, 8.0, [voice], 20.0, calibration)) == (["reference_disagrees"], [])
    assert codes(check_agreement(other, 8.0, [], 0.0, None)) == ([], [])


def test_duplicates_are_allowed_told_or_refused_as_the_policy_says():
    for duplicates, expected in (
        ("allow", ([], [])),
        ("warn", ([], ["possible_duplicate"])),
        ("refuse", (["possible_duplicate"], [])),
    ):
        found = check_duplicates(["anna"], GalleryPolicy(duplicates=duplicates))
        assert codes(found) == expected
