"""How recordings become profiles and probes, and which labels are not taken for two persons."""

import json

import numpy as np
import pytest

from gallery.crowd import CROWD
from gallery.search import unit
from training.starter import gallery_calibration
from training.starter.gallery_calibration import (
    GALLERY,
    LEAST_VOICES,
    cohort,
    fit_groups,
    fit_sources,
    same_person,
    trials,
)
from training.starter.voice_material import (
    ENROL_S,
    PROBE,
    PROBES_S,
    REFERENCE,
    REFERENCE_S,
    SHORT_REFERENCE,
    Pieces,
    layout,
)


def test_probes_come_after_what_is_enrolled_and_begin_with_a_sentence():
    pieces = list(layout(60.0, np.arange(0.0, 60.0, 3.0).tolist()))
    assert [piece.start_s for piece in pieces if piece.kind == REFERENCE] == [0.0, REFERENCE_S]
    starts = {
        length_s: [p.start_s for p in pieces if (p.kind, p.length_s) == (PROBE, length_s)]
        for length_s in PROBES_S
    }
    assert {length_s: len(found) for length_s, found in starts.items()} == PROBES_S
    # The first sentence that begins after 20 s begins at 21 s.
    assert min(found[0] for found in starts.values()) == 21.0
    assert all(piece.start_s + piece.length_s <= 60.0 for piece in pieces)


@pytest.mark.parametrize(("total_s", "references"), [(26.0, 2), (17.0, 1), (9.0, 0)])
def test_less_speech_gives_fewer_references_and_still_a_probe(total_s, references):
    kinds = [piece.kind for piece in layout(total_s, [0.0])]
    assert kinds.count(REFERENCE) == references
    assert kinds.count(SHORT_REFERENCE) == 1
    assert PROBE in kinds


def test_too_little_speech_gives_nothing_to_compare():
    assert PROBE not in [piece.kind for piece in layout(7.0, [0.0])]


def pieces_of(voices: np.ndarray, source: str) -> Pieces:
    """Two references, a short one and two probes of each voice, with noise."""
    kinds = [REFERENCE, REFERENCE, SHORT_REFERENCE, PROBE, PROBE]
    lengths = [REFERENCE_S, REFERENCE_S, ENROL_S / 4, 6.0, 3.0]
    generator = np.random.default_rng(1)
    vectors = np.repeat(voices, len(kinds), axis=0)
    vectors = (vectors + 0.4 * generator.normal(size=vectors.shape)).astype(np.float32)
    count = len(voices)
    return Pieces(
        vectors, np.repeat([f"v{index:02}" for index in range(count)], len(kinds)),
        np.full(len(vectors), source), np.full(len(vectors), 30), np.array(kinds * count),
        np.array(lengths * count), np.array(lengths * count) * 0.9, np.array(["encoder", "1"]),
    )  # fmt: skip


@pytest.fixture
def alike() -> Pieces:
    """Twelve labels of which two, 4 and 5, have one voice."""
    voices = np.random.default_rng(0).normal(size=(12, 64))
    voices[5] = voices[4]
    return pieces_of(voices, "duke")


def test_only_labels_of_one_person_are_not_compared(alike, monkeypatch, tmp_path):
    listed = tmp_path / "one_person.json"
    pairs = [{"labels": ["v02", "v07"]}, {"labels": ["v03", "of nobody here"]}]
    listed.write_text(json.dumps({"duke": {"pairs": pairs}}))
    monkeypatch.setattr(gallery_calibration, "ONE_PERSON", listed)
    assert np.argwhere(same_person(alike)).tolist() == [[2, 7], [7, 2]]
    found = trials(alike, (ENROL_S,), (6.0,))
    assert (found.targets, found.impostors) == (12, 12 * 11 - 2)
    # 4 and 5 sound alike and are strangers all the same.
    assert found.cosines[~found.is_target].max() > 0.8


def test_the_crowd_of_a_trial_is_neither_of_its_two_speakers(monkeypatch, tmp_path):
    listed = tmp_path / "one_person.json"
    listed.write_text("{}")
    monkeypatch.setattr(gallery_calibration, "ONE_PERSON", listed)
    pieces = pieces_of(np.random.default_rng(0).normal(size=(12, 64)), "a")
    beside = unit(np.random.default_rng(2).normal(size=(5, 64)))
    found = trials(pieces, (ENROL_S,), (6.0,), beside)
    profiles = unit(
        np.stack(
            [
                unit(pieces.vectors[(pieces.speakers == name) & (pieces.kinds == REFERENCE)]).mean(axis=0)
                for name in np.unique(pieces.speakers)
            ]
        )
    )
    probes = pieces.vectors[(pieces.kinds == PROBE) & (pieces.lengths_s == 6.0)]
    for index in range(0, len(found), 7):
        claimed, actual = found.claimed[index], found.actual[index]
        others = [row for row in range(12) if row not in (claimed, actual)]
        cosines = np.concatenate([profiles[others], beside]) @ unit(probes[actual])
        expected = np.arctanh(np.sort(cosines)[-CROWD:]).mean()
        assert found.crowds[index] == pytest.approx(expected, abs=1e-9)


def test_no_row_of_a_cohort_is_the_voice_of_one_person():
    generator = np.random.default_rng(0)
    # A voice that is like no other would be a group by itself.
    voices = np.concatenate([generator.normal(size=(40, 64)), 5 + generator.normal(size=(1, 64))])
    pieces = pieces_of(voices, "a")
    rows = cohort(pieces)
    assert len(rows) <= len(voices) // LEAST_VOICES
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0)
    names = np.unique(pieces.speakers)
    means = unit(np.stack([unit(pieces.vectors[pieces.speakers == name]).mean(axis=0) for name in names]))
    assert (means @ rows.T).max() < 0.999
    np.testing.assert_array_equal(rows, cohort(pieces))


def test_sources_weigh_the_same_and_more_speakers_than_a_gallery_has_are_drawn_from():
    parts = [
        pieces_of(np.random.default_rng(seed).normal(size=(count, 64)), source)
        for seed, count, source in ((0, 15, "duke"), (1, GALLERY + 20, "speechocean762"))
    ]
    fields = {name: np.concatenate([getattr(each, name) for each in parts]) for name in Pieces.__slots__}
    calibration = fit_sources(Pieces(**{**fields, "space": parts[0].space}))
    assert (calibration.speakers, calibration.cohort) == (GALLERY + 35, True)
    assert calibration.source == "speechocean762 and duke"
    assert calibration.score > 0


def test_groups_weigh_the_same_whatever_their_size():
    large, small = (
        np.random.default_rng(seed).normal(size=(count, 64)) for seed, count in ((0, 60), (1, 15))
    )
    parts = [trials(pieces_of(large, "a")), trials(pieces_of(small, "b"))]
    calibration = fit_groups(parts, ("a", "b"))
    assert calibration.speakers == 75
    assert calibration.source == "a and b"
    assert calibration.score > 0
