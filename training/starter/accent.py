"""``python -m training.starter.accent``: teach the starter's accent head and measure it.

Each folder of speech has a ``manifest.tsv``. The head hears the encoder of the language starter, with the
weights that are shipped. The figures are of clips whose whole source training has not heard.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from evaluation.manifest import Clip
from evaluation.metrics.reliability import calibration_error, reliability
from evaluation.metrics.verification import weighted_auc
from pipelines.whisper_checkpoint import CONFIG
from training.starter.heads import (
    Example,
    Floats,
    balanced_weights,
    drawn,
    fit,
    fit_calibration,
    left_out_scores,
    one_for_each_speaker,
    run,
    sigmoid,
    source_group,
    speaker_group,
    write_head,
)
from voxgraph.options import ModelKey

MAX_CLIPS = 300
"""Most clips of a source."""
ONE_CLIP_SOURCES = frozenset({"speechocean762"})
"""Sources of one accent that would outnumber the others: one clip of each speaker."""
MIN_S = 2.5
PRIOR = 1 / 3
"""Share of American speakers for which the probability is calibrated."""
SURENESS = 0.85
"""Factor of the log-odds, since an unknown source is told less well than a fit on known ones says. The
calibration error without the source was 0.033; that of 1, 0.7 and 0.5 was 0.042, 0.047 and 0.098."""
RIDGE = 10.0
"""Addition to the variances, see `fit`. On left-out sources, 1, 3, 10 and 30 had an AUC of 0.921, 0.930,
0.940 and 0.935."""
AMERICAN = {
    "cmu-arctic": ("aew", "bdl", "clb", "eey", "ljm", "lnh", "rms", "slt"),
    "m-ailabs": ("elliot_miller", "judy_bieber", "mary_ann"),
}
OTHERS = {"cmu-arctic": ("ahw", "aup", "awb", "axb", "fem", "gka", "jmk", "ksp", "slp")}
"""American and other speakers of two corpora by their documentation. Mimic 3 has voices of them, which the
manifest does not label."""
UNDOCUMENTED = ("hifi-tts",)
"""Corpora whose readers' accents are not documented: the label of such a voice is the locale of its package,
and of the three readers of Hi-Fi TTS at least one, Cori Samuel, is British."""


def main() -> None:
    """Train the head on the folders of the command line, print its figures and write it."""
    run(ModelKey.ACCENT_XLSR, "accent", __doc__, chosen, train)


def chosen(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips of English whose accent is known, at most `MAX_CLIPS` of a source."""
    generator = np.random.default_rng(0)
    known = [clip for clip in map(labelled, clips) if clip.lang == "en" and clip.us is not None]
    found: list[Clip] = []
    for name in dict.fromkeys(clip.source for clip in known):
        own = [clip for clip in known if clip.source == name and (clip.duration_s or MIN_S) >= MIN_S]
        if name in ONE_CLIP_SOURCES:
            own = one_for_each_speaker(own, generator)
        found += drawn(own, MAX_CLIPS, generator)
    return found


def labelled(clip: Clip) -> Clip:
    """Add the label of a voice whose corpus says where the speaker comes from, and remove doubtful ones."""
    corpus, _, voice = clip.speaker.removeprefix("m3_").partition("_low_")
    if corpus in UNDOCUMENTED:
        return replace(clip, us=None)
    if clip.us is None and voice in AMERICAN.get(corpus, ()) + OTHERS.get(corpus, ()):
        return replace(clip, us=voice in AMERICAN[corpus])
    return clip


def train(taught: Sequence[Example], tested: Sequence[Example], to: Path, console: Console) -> None:
    """Measure left-out clips, calibrate on them, and write the head that all clips have taught.

    Args:
        taught: Clips in all versions.
        tested: Clips as recorded.
        to: Folder of the checkpoint.
        console: Where the figures are printed.
    """
    classes = [bool(example.clip.us) for example in taught]
    us = np.array([bool(example.clip.us) for example in tested])
    sources = np.array([example.clip.source for example in tested])
    scores = left_out_scores(taught, classes, tested, source_group, RIDGE)
    mixed = left_out_scores(taught, classes, tested, speaker_group, RIDGE)
    weights = balanced_weights(sources.tolist(), us.tolist())
    scale, offset = careful(*fit_calibration(scores, us, weights))
    console.print(figures("left-out source", sources, us, scores, sigmoid(scale * scores + offset)))
    console.print(figures("and calibrated without it", sources, us, scores, nested(sources, us, scores)))
    console.print(figures("left-out speakers", sources, us, mixed, sigmoid(scale * mixed + offset)))
    write_head(fit(taught, classes, RIDGE), to)
    config = {"calibration": {"scale": round(scale, 6), "offset": round(offset, 6)}}
    (to / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    console.print(config)


def careful(scale: float, offset: float) -> tuple[float, float]:
    """Return the parameters of a calibration for equal classes, less sure, and moved to the share `PRIOR`."""
    return SURENESS * scale, SURENESS * offset + float(np.log(PRIOR / (1 - PRIOR)))


def nested(sources: NDArray[np.str_], us: NDArray[np.bool_], scores: Floats) -> Floats:
    """Return the probability of each clip, calibrated on the left-out scores of the other sources."""
    probabilities = np.zeros(len(scores))
    for name in np.unique(sources):
        others = sources != name
        weights = balanced_weights(sources[others].tolist(), us[others].tolist())
        scale, offset = careful(*fit_calibration(scores[others], us[others], weights))
        probabilities[~others] = sigmoid(scale * scores[~others] + offset)
    return probabilities


def figures(
    title: str, sources: NDArray[np.str_], us: NDArray[np.bool_], scores: Floats, probabilities: Floats
) -> Table:
    """Return a table of each source and of all, where the two classes and their sources weigh the same."""
    table = Table("source", "clips", "of these US", "AUC", "ECE", "called US: US", "others", title=title)
    for name in (*np.unique(sources), "all"):
        rows = sources == name if name != "all" else np.ones(len(us), bool)
        own = balanced_weights(sources[rows].tolist(), us[rows].tolist())
        area = weighted_auc(us[rows], scores[rows])(own)
        at_prior = own * np.where(us[rows], PRIOR, 1 - PRIOR)
        error = calibration_error(reliability(probabilities[rows], us[rows], at_prior))
        called = [_share(probabilities[rows & kind] > 0.5, scores[rows & kind]) for kind in (us, ~us)]
        table.add_row(name, str(rows.sum()), str(us[rows].sum()), _text(area), _text(error), *called)
    return table


def _share(called: NDArray[np.bool_], scores: Floats) -> str:
    return _text(float(called.mean()) if len(scores) else None)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
