"""The calibration of a gallery's own voices, through the facade."""

from datetime import UTC, datetime

import numpy as np
import pytest

from gallery.calibration import calibrated_encoders
from gallery.galleries import Galleries
from voxgraph.results import Consent, Decision, Evidence, GalleryPolicy, Observation, Space, VoiceSample

SPACE = Space("encoder", "1", 64)


@pytest.fixture
def galleries(tmp_path):
    with Galleries(tmp_path) as found:
        policy = GalleryPolicy(require_consent=False, duplicates="allow")
        found.create("t", "g", policy, actor="test")
        yield found


def enrol(galleries, speakers: int, references: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    voices = generator.normal(size=(speakers, 64))
    for index, voice in enumerate(voices):
        galleries.put_speaker("t", "g", f"s{index}", actor="test")
        for _ in range(references):
            vector = (voice + 0.4 * generator.normal(size=64)).astype(np.float32)
            observation = Observation((VoiceSample(SPACE, vector),), Evidence(speech_s=12.0))
            assert galleries.enrol("t", "g", f"s{index}", observation, actor="test").accepted
    return voices


def test_a_gallery_is_calibrated_on_its_own_voices_and_decides_by_them(galleries):
    voices = enrol(galleries, 40, 2)
    probe = Observation((VoiceSample(SPACE, voices[7].astype(np.float32)),), Evidence(speech_s=6.0))
    (before,) = galleries.identify("t", "g", [probe], actor="test")
    (report,) = galleries.calibrate("t", "g", actor="test")
    (after,) = galleries.identify("t", "g", [probe], actor="test")
    assert report.enough_data
    assert report.target_trials == 80
    assert (before.calibrated, after.calibrated) == (False, True)
    assert (after.decision, after.speaker) == (Decision.MATCH, "s7")
    (kept,) = galleries.reports("t", "g")
    assert kept == report
    assert kept.det_plot.startswith(b"\x89PNG")


def test_few_voices_stay_without_a_calibration_and_the_report_says_why(galleries):
    enrol(galleries, 3, 2)
    (report,) = galleries.calibrate("t", "g", actor="test")
    assert not report.enough_data
    assert "6 of 30" in report.message
    assert report.figures == {}


def test_who_did_not_agree_to_the_purpose_is_nobodys_crowd(tmp_path):
    (model, revision), generator = calibrated_encoders()[0], np.random.default_rng(0)
    space, shared = Space(model, revision, 192), generator.normal(size=192)

    def heard(vector: np.ndarray) -> Observation:
        return Observation((VoiceSample(space, vector.astype(np.float32)),), Evidence(speech_s=30.0))

    with Galleries(tmp_path) as found:
        found.create("t", "g", GalleryPolicy(duplicates="allow"), actor="test")
        voices = shared + generator.normal(size=(14, 192))
        for index, voice in enumerate(voices):
            purposes = ("door", "phone") if index < 4 else ("phone",)
            consent = Consent(purposes=purposes, given_at=datetime(2026, 1, 1, tzinfo=UTC))
            found.put_speaker("t", "g", f"s{index}", consent=consent, actor="test")
            assert found.enrol("t", "g", f"s{index}", heard(voice), actor="test").accepted
        asked = heard(voices[0] + generator.normal(size=192))
        llrs = {
            purpose: found.verify("t", "g", "s0", asked, purpose=purpose, actor="test").llr
            for purpose in ("door", "phone")
        }
        for index in range(4, 14):
            found.erase("t", "g", f"s{index}", actor="test")
        alone = found.verify("t", "g", "s0", asked, purpose="door", actor="test").llr
    assert llrs["door"] == alone
    assert llrs["door"] > llrs["phone"]
