"""Which suspected pairs of labels are confirmed by an encoder that is not calibrated on them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.starter.gallery_calibration import ONE_PERSON, SUSPECTED_COSINE
from training.starter.ge2e import BANDS, LAYERS, WIDTH, Ge2eEncoder, without_pauses
from training.starter.one_person import Label, as_row, judge, pitch_of, table, written
from voxgraph.results import SAMPLE_RATE_HZ


def labels_of(voices: np.ndarray, noise: float = 0.5, sex: str = "f") -> list[Label]:
    """One label of each voice, whose halves differ by noise."""
    generator = np.random.default_rng(2)
    halves = voices[:, None] + noise * generator.normal(size=(len(voices), 2, voices.shape[1]))
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    return [Label(f"v{i:02}", sex, 30, each, 200.0) for i, each in enumerate(halves)]


def test_only_pairs_that_both_encoders_take_for_one_voice_are_confirmed():
    voices = np.random.default_rng(0).normal(size=(40, 64))
    voices[5], voices[9] = voices[4], voices[8]
    cosines = np.zeros((40, 40))
    # 4 and 5 are suspected and alike, 20 and 21 suspected only, 8 and 9 alike only.
    cosines[4, 5], cosines[20, 21] = 0.9, 0.85
    pairs, bounds = judge(labels_of(voices, 0.4), cosines, 0.8)
    assert [pair.labels for pair in pairs] == [("v04", "v05"), ("v20", "v21")]
    assert [pair.rank <= 2 for pair in pairs] == [True, False]
    assert not pairs[1].confirmed(bounds)
    assert [pair["labels"] for pair in as_row(pairs[1:], bounds)["pairs"]] == []
    assert "| v20 v21 | 0.850 |" in "\n".join(table("source", pairs, bounds))


def test_a_pair_must_be_as_alike_as_the_halves_of_one_label():
    voices = np.random.default_rng(0).normal(size=(40, 64))
    voices[5] = voices[4] + 0.6 * np.random.default_rng(3).normal(size=64)
    cosines = np.zeros((40, 40))
    cosines[4, 5] = 0.9
    [pair], bounds = judge(labels_of(voices, 0.1), cosines, 0.8)
    assert bounds.others < pair.ge2e < bounds.within
    assert not pair.confirmed(bounds)


def test_a_pair_is_compared_with_pairs_of_one_sex():
    voices = np.random.default_rng(0).normal(size=(40, 64))
    voices[5], voices[6] = voices[4], -voices[4]
    labels = labels_of(voices[:20], 0.3) + labels_of(voices[20:], 0.3, sex="m")
    cosines = np.zeros((40, 40))
    cosines[4, 5] = 0.9
    [pair], bounds = judge(labels, cosines, 0.8)
    assert pair.confirmed(bounds)
    assert (pair.rank, pair.sexes) == (1, ("f", "f"))


def test_published_sexes_that_differ_refute_a_pair_and_unknown_ones_do_not():
    voices = np.random.default_rng(0).normal(size=(40, 64))
    voices[5], voices[9] = voices[4], voices[8]
    labels = labels_of(voices, 0.3)
    labels[5], labels[9] = replace(labels[5], sex="m"), replace(labels[9], sex="")
    cosines = np.zeros((40, 40))
    cosines[4, 5], cosines[8, 9] = 0.9, 0.85
    pairs, bounds = judge(labels, cosines, 0.8)
    assert [pair.ge2e > max(bounds.within, bounds.others) for pair in pairs] == [True, True]
    assert [pair.confirmed(bounds) for pair in pairs] == [False, True]


@pytest.fixture
def encoder(tmp_path) -> Ge2eEncoder:
    """With weights at random, in the layout of Resemblyzer's file."""
    torch.manual_seed(0)
    layers = torch.nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
    last = torch.nn.Linear(WIDTH, WIDTH)
    state = {f"lstm.{name}": value for name, value in layers.state_dict().items()}
    state |= {f"linear.{name}": value for name, value in last.state_dict().items()}
    torch.save({"model_state": {**state, "similarity_weight": torch.ones(1)}}, tmp_path / "pretrained.pt")
    return Ge2eEncoder(tmp_path / "pretrained.pt")


@pytest.mark.parametrize("seconds", [0.7, 4.0])
def test_a_vector_has_length_one_and_knows_no_level(encoder, seconds):
    samples = np.random.default_rng(0).normal(size=round(seconds * SAMPLE_RATE_HZ)).astype(np.float32) * 0.01
    vector = encoder(samples)
    assert vector.shape == (WIDTH,)
    assert np.linalg.norm(vector) == pytest.approx(1.0)
    assert encoder(samples / 10) @ vector == pytest.approx(1.0, abs=1e-6)


def test_pauses_are_left_out_and_the_pitch_is_found():
    seconds = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    harmonics = sum(np.sin(2 * np.pi * 180 * k * seconds) / k for k in range(1, 8))
    voice = np.where((seconds > 1) & (seconds < 2), 0.0, harmonics).astype(np.float32) * 0.1
    assert len(without_pauses(voice)) / SAMPLE_RATE_HZ == pytest.approx(3.0, abs=0.2)
    assert pitch_of(voice) == pytest.approx(180.0, rel=0.02)


def test_every_committed_pair_exceeds_its_bounds():
    rows = json.loads(ONE_PERSON.read_text())
    assert written(rows) == ONE_PERSON.read_text()
    assert set(rows) == set(SUSPECTED_COSINE)
    for source, row in rows.items():
        assert len({tuple(pair["labels"]) for pair in row["pairs"]}) == len(row["pairs"])
        for pair in row["pairs"]:
            assert pair["labels"][0] < pair["labels"][1]
            assert pair["ge2e"] >= max(row["within"], row["others"])
            assert pair["cosine"] >= SUSPECTED_COSINE[source]
