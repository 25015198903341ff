"""Fitting of the starter's heads: balance, left-out scores, calibration and operating points."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from evaluation.manifest import Clip
from training.starter import accent, deepfake
from training.starter.heads import (
    RIDGE,
    Example,
    Floats,
    balanced_weights,
    drawn,
    fit,
    fit_calibration,
    left_out_scores,
    one_for_each_speaker,
    sigmoid,
    source_group,
)

SOURCES = ("a", "b", "c")


def examples(shift: float = 2.0, count: int = 40) -> list[Example]:
    """Clips of three sources with two windows of four statistics; the class moves the first of them."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(3 * count):
        us = number % 2 == 0
        clip = Clip(f"{number}.wav", source=SOURCES[number % 3], lang="en", us=us, speaker=str(number // 4))
        windows = generator.normal(size=(2, 4)) + np.array([shift * us, 0, 0, 0])
        found.append(Example(clip, windows.astype(np.float32)))
    return found


def test_classes_weigh_the_same_and_so_do_the_sources_of_each() -> None:
    weights = balanced_weights(["a", "a", "a", "b", "b"], [True, False, False, False, False])

    assert weights.mean() == pytest.approx(1)
    assert weights[0] == pytest.approx(weights[1:].sum())
    assert weights[1:3].sum() == pytest.approx(weights[3:].sum())


def test_a_head_tells_the_classes_apart() -> None:
    taught = examples()
    classes = [bool(example.clip.us) for example in taught]

    head = fit(taught, classes)

    scores = np.array([head.score(example) for example in taught])
    assert ((scores > 0) == classes).mean() > 0.9


class Ridged(BaseEstimator):
    """The covariance of one class for scikit-learn's discriminant, with our addition to the variances."""

    def fit(self, inputs: Floats) -> "Ridged":
        self.covariance_ = np.cov(inputs.T, bias=True) + RIDGE * np.eye(inputs.shape[1])
        return self


def test_a_head_is_that_of_scikit_learn_where_one_source_has_both_classes_in_equal_numbers() -> None:
    taught = [example for example in examples() if example.clip.source == "a"]
    classes = [bool(example.clip.us) for example in taught]
    inputs = np.stack([example.windows.mean(axis=0) for example in taught]).astype(np.float64)
    scales = inputs.std(axis=0) + 1e-6
    reference = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Ridged())

    found = fit(taught, classes).weights * scales

    expected = reference.fit(inputs / scales, classes).coef_[0]
    assert found / np.linalg.norm(found) == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)


def test_what_tells_only_the_sources_apart_has_no_weight() -> None:
    """Sources of one class lie far off in the second statistic; within the other source it says nothing."""
    taught, classes = [], []
    for example in examples():
        inside = example.clip.source == "a"
        windows = example.windows + np.array([0, 50 * (not inside), 0, 0], np.float32)
        taught.append(Example(example.clip, windows))
        classes.append(bool(example.clip.us) and inside)

    weights = np.abs(fit(taught, classes).weights)

    assert weights[1] * 50 < 0.2 * weights[0] * 2


def test_a_left_out_clip_is_scored_by_a_head_that_never_heard_its_source() -> None:
    """The third source has the classes exchanged; a head that knew it would be right about it."""
    taught = examples(shift=6.0)
    classes = [bool(example.clip.us) != (example.clip.source == "c") for example in taught]

    scores = left_out_scores(taught, classes, taught, source_group)

    wrong = [(score > 0) != kind for score, kind in zip(scores, classes, strict=True)]
    assert np.mean([w for w, e in zip(wrong, taught, strict=True) if e.clip.source == "c"]) > 0.95


def test_a_calibration_gives_the_share_that_comes_true() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=4_000)
    true = generator.random(4_000) < sigmoid(2 * scores - 1)

    assert fit_calibration(scores, true, np.ones(4_000)) == pytest.approx((2, -1), abs=0.2)


def test_a_draw_keeps_the_order_and_one_clip_of_each_speaker() -> None:
    clips = [example.clip for example in examples()]
    generator = np.random.default_rng(0)

    few, single = drawn(clips, 7, generator), one_for_each_speaker(clips, generator)

    assert len(few) == 7
    assert few == sorted(few, key=clips.index)
    assert len(single) == len({clip.speaker for clip in clips})


def test_the_accent_head_is_written_with_its_calibration_and_is_the_same_each_time(tmp_path: Path) -> None:
    taught = examples()
    for name in ("first", "second"):
        accent.train(taught, taught, tmp_path / name, Console(quiet=True))

    config = json.loads((tmp_path / "first/config.json").read_text())
    assert config["calibration"]["scale"] > 0
    for name in ("config.json", "head.safetensors"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_voices_get_the_label_of_the_documentation_of_their_corpus() -> None:
    voices = {
        "m3_cmu-arctic_low_slt": True, "m3_cmu-arctic_low_awb": False, "m3_vctk_low_s5": None,
        "m3_m-ailabs_low_mary_ann": True, "m3_vctk_low_slt": None, "": None,
    }  # fmt: skip

    assert {name: accent.labelled(Clip("x", speaker=name)).us for name in voices} == voices


def test_hardly_any_clip_of_a_left_out_source_passes_the_careful_point() -> None:
    real = {name: np.random.default_rng(seed).normal(seed, 1, 100) for seed, name in enumerate(SOURCES)}

    point = deepfake.careful_point(real)

    assert all((values > point).mean() <= deepfake.SHARE for values in real.values())
    assert point > max(np.sort(values)[-3] for values in real.values())


def generated() -> list[Example]:
    """Real clips of the sources a0, b0 and c0, and generated ones of a1, b1 and c1."""
    found = []
    for example in examples():
        kind = bool(example.clip.us)
        source, label = f"{example.clip.source}{kind:d}", "fake" if kind else "real"
        found.append(Example(replace(example.clip, source=source, label=label), example.windows))
    return found


def test_a_real_source_that_lies_beyond_all_others_is_accused_where_nobody_has_heard_it() -> None:
    shift = np.array([9, 0, 0, 0], np.float32)
    clips = [Example(e.clip, e.windows + shift * (e.clip.source == "b0")) for e in generated()]

    shares = deepfake.unheard(clips, clips)

    assert shares.keys() == {"a0", "b0", "c0"}
    assert shares["b0"] > 0.9
    assert shares["a0"] == shares["c0"] == 0


def test_the_deepfake_head_is_written_with_points_in_order(tmp_path: Path) -> None:
    taught = generated()

    deepfake.train(taught, taught, tmp_path, Console(quiet=True))

    config = json.loads((tmp_path / "config.json").read_text())
    assert config["calibration"]["scale"] > 0
    assert (
        0 <= config["operating_points"]["no_sign_found"] <= config["operating_points"]["ai_generated"] == 0.9
    )


def test_a_chunk_is_the_middle_of_a_long_clip() -> None:
    clip = np.arange(200_000, dtype=np.float32)

    assert deepfake.middle(clip)[0] == 60_000
    assert len(deepfake.middle(clip)) == deepfake.CHUNK_SAMPLES
    assert len(deepfake.middle(clip[:100])) == 100
