"""``python -m training.starter.deepfake``: teach the starter's deepfake head and measure it.

Each folder of speech has a ``manifest.tsv``. The head hears the encoder of the language starter, with the
weights that are shipped. Operating points and figures are of real clips whose whole source training has not
heard, and of generated clips whose generator it has not heard.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from evaluation.manifest import FAKE, Clip
from evaluation.metrics.operating_point import threshold_above, threshold_below
from evaluation.metrics.verification import weighted_auc
from pipelines.whisper_checkpoint import CONFIG
from training.starter.heads import (
    Example,
    Floats,
    balanced_weights,
    drawn,
    fit,
    left_out_scores,
    run,
    sigmoid,
    source_group,
    speaker_group,
    write_head,
)
from voxgraph.options import ChunkOptions, ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

MAX_CLIPS = 120
"""Most clips of a source."""
CHUNK_SAMPLES = round(ChunkOptions().chunk_s * SAMPLE_RATE_HZ)
SHARE = 0.02
"""Share of the real clips of a source, or of the clips of a generator, that may be on the wrong side of an
operating point."""
MARGIN = 1.0
"""What is added to the highest threshold of a left-out source, in standard deviations of the sources'
thresholds: a source that nobody has heard may lie above all of them. Without it, up to 13 % of the clips of
such a source were accused."""
POINT = 0.9
"""Value of the answer at the operating point of ``ai_generated``. It is not calibrated, since no probability
fitted on the known generators holds for others."""
MIN_POINT_SCORE = 0.1
"""Lowest score that stands for `POINT`, so that the answer always rises with the score."""


def main() -> None:
    """Train the head on the folders of the command line, print its figures and write it."""
    run(ModelKey.DEEPFAKE, "deepfake", __doc__, chosen, train, middle)


def chosen(clips: Sequence[Clip]) -> list[Clip]:
    """Return at most `MAX_CLIPS` clips of each source."""
    generator = np.random.default_rng(0)
    found: list[Clip] = []
    for source in dict.fromkeys(clip.source for clip in clips if clip.label):
        found += drawn((clip for clip in clips if clip.source == source and clip.label), MAX_CLIPS, generator)
    return found


def middle(waveform: Waveform) -> Waveform:
    """Return the chunk in the middle of a clip, as long as the service's chunks, or the whole clip."""
    start = max(0, len(waveform) - CHUNK_SAMPLES) // 2
    return waveform[start : start + CHUNK_SAMPLES]


def train(taught: Sequence[Example], tested: Sequence[Example], to: Path, console: Console) -> None:
    """Find operating points on left-out clips, print the figures, and write the head that all have taught.

    Args:
        taught: Clips in all versions.
        tested: Clips as recorded.
        to: Folder of the checkpoint.
        console: Where the figures are printed.
    """
    classes = [example.clip.label == FAKE for example in taught]
    fake = np.array([example.clip.label == FAKE for example in tested])
    sources = np.array([example.clip.source for example in tested])
    scores = left_out_scores(taught, classes, tested, source_group)
    known = left_out_scores(taught, classes, tested, speaker_group)
    real = {str(name): scores[sources == name] for name in np.unique(sources[~fake])}
    unseen = {str(name): scores[sources == name] for name in np.unique(sources[fake])}
    seen = {name: known[sources == name] for name in unseen}
    above = careful_point(real)
    below = min(threshold_below(unseen, SHARE), above)
    area = weighted_auc(fake, scores)(balanced_weights(sources.tolist(), fake.tolist()))
    console.print(f"AUC of left-out sources: {area:.3f}")
    kinds = {"real": real, "unseen generator": unseen, "seen generator": seen}
    console.print(figures(kinds, above, below, unheard(taught, tested)))
    write_head(fit(taught, classes), to)
    scale = logit(POINT) / max(above, MIN_POINT_SCORE)
    low = float(sigmoid(np.array(scale * below)))
    config = {
        "calibration": {"scale": round(scale, 6), "offset": 0.0},
        "operating_points": {"ai_generated": POINT, "no_sign_found": round(low, 6)},
    }
    (to / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    console.print(config)


def careful_point(real: Mapping[str, Floats]) -> float:
    """Return a score that at most `SHARE` of every left-out real source exceeds, with a margin.

    Args:
        real: Scores of the clips of each source, at least one.
    """
    points = [threshold_above({name: values}, SHARE) for name, values in real.items()]
    return float(max(points) + MARGIN * np.std(points))


def unheard(taught: Sequence[Example], tested: Sequence[Example]) -> dict[str, float]:
    """Return for each real source the share that is called generated if neither head nor point have heard it.

    Args:
        taught: Clips in all versions.
        tested: Clips as recorded.
    """
    shares = {}
    real = [example for example in tested if example.clip.label != FAKE]
    for name in sorted({*map(source_group, real)}):
        kept = [example for example in taught if source_group(example) != name]
        classes = [example.clip.label == FAKE for example in kept]
        others = [example for example in real if source_group(example) != name]
        scores = left_out_scores(kept, classes, others, source_group)
        sources = np.array([source_group(example) for example in others])
        point = careful_point({str(other): scores[sources == other] for other in np.unique(sources)})
        head = fit(kept, classes)
        mine = [example for example in real if source_group(example) == name]
        shares[name] = float(np.mean([head.score(example) > point for example in mine]))
    return shares


def logit(probability: float) -> float:
    """Return the logarithm of the odds."""
    return float(np.log(probability / (1 - probability)))


def figures(
    kinds: Mapping[str, Mapping[str, Floats]], above: float, below: float, left: Mapping[str, float]
) -> Table:
    """Return a table with the share of each verdict for each source.

    Args:
        kinds: Scores by kind and source.
        above: Score above which a clip is called generated.
        below: Score below which it shows no sign of it.
        left: What `unheard` returns.
    """
    last = "ai_generated, point of the others"
    table = Table("kind", "source", "clips", "ai_generated", "inconclusive", "no_sign_found", last)
    for kind, groups in kinds.items():
        for name, values in groups.items():
            high, low = float((values > above).mean()), float((values < below).mean())
            shares = [f"{share:.3f}" for share in (high, 1 - high - low, low)]
            other = f"{left[name]:.3f}" if kind == "real" else "-"
            table.add_row(kind, name, str(len(values)), *shares, other)
    return table


if __name__ == "__main__":
    main()
