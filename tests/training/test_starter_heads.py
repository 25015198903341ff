"""Fitting of the starter's heads: balance, left-out scores, calibration and operating points."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from evaluation.manifest import Clip
from training.starter import accent, deepfake
from training.starter.heads import (
    Example,
    balanced_weights,
    drawn,
    fit,
    fit_calibration,
    left_out_scores,
    one_for_each_speaker,
    sigmoid,
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


def test_a_head_scores_what_the_logistic_regression_learned() -> None:
    taught = examples()
    classes = [bool(example.clip.us) for example in taught]

    scores = np.array([fit(taught, classes, 1.0).score(example) for example in taught[:40]])

    assert ((scores > 0) == classes[:40]).mean() > 0.9


def test_a_left_out_clip_is_scored_by_a_head_that_never_heard_its_source() -> None:
    """The third source has the classes exchanged; a head that knew it would be right about it."""
    taught = examples(shift=6.0)
    classes = [bool(example.clip.us) != (example.clip.source == "c") for example in taught]

    scores = left_out_scores(taught, classes, taught, lambda example: example.clip.source, 1.0)

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


def test_voices_of_cmu_arctic_get_the_label_of_their_documentation() -> None:
    voices = {"m3_cmu-arctic_low_slt": True, "m3_cmu-arctic_low_awb": False, "m3_vctk_low_s5": None}

    assert {name: accent.labelled(Clip("x", speaker=name)).us for name in voices} == voices


def test_hardly_any_clip_of_a_left_out_source_passes_the_careful_point() -> None:
    real = {name: np.random.default_rng(seed).normal(seed, 1, 100) for seed, name in enumerate(SOURCES)}

    point = deepfake.careful_point(real)

    assert all((values > point).mean() <= deepfake.SHARE for values in real.values())
    assert point > max(np.sort(values)[-3] for values in real.values())


def test_the_deepfake_head_is_written_with_points_in_order(tmp_path: Path) -> None:
    taught = [
        Example(Clip(e.clip.file, source=e.clip.source + str(e.clip.us), speaker=e.clip.speaker,
                     label="fake" if e.clip.us else "real"), e.windows)
        for e in examples()
    ]  # fmt: skip

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
