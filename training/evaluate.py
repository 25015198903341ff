"""``python -m training.evaluate``: measure the demo checkpoints on held-out voices and words."""

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score, roc_curve

from config.settings import AudioLimits, CheckpointSource, Size
from pipelines.accent import EcapaAccentClassifier
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.audio.decoding import decode
from pipelines.checkpoints import LocatedCheckpoint, locate
from pipelines.chunking import spans
from pipelines.deepfake import DeepfakeDetector
from pipelines.diarization import Diarizer
from pipelines.language import LanguageIdentifier
from pipelines.routing import encoder_for
from pipelines.speaker import SpeakerEncoder
from training.augmentation import augment
from training.cards import write_card
from training.conversations import CONVERSATION_S, by_speaker, simulate
from training.corpus import Clip, is_asian
from training.recipes import CORPORA
from training.schedule import load_corpus
from training.tuning import to_annotation
from training.wav2vec2 import griffin_lim, world
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

SEED = 99
BATCH = 16
DEEPFAKE_CLIPS, SPLICED, CHUNK_S, OVERLAP = 120, 12, 2.0, 0.5
CONVERSATIONS = 24


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value."""

    name: str
    value: float
    target: float | None = None
    """The project's target; None if there is none."""
    at_most: bool = False
    """Whether the target is an upper bound rather than a lower one."""

    @property
    def meets_target(self) -> bool:
        """Whether the value meets the target, if there is one."""
        if self.target is None:
            return True
        return self.value <= self.target if self.at_most else self.value >= self.target


def main() -> None:
    """Print a table of every figure and write the model cards."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints/demo"))
    parser.add_argument("--only", nargs="+", choices=[*EVALUATIONS], default=[*EVALUATIONS])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    table = Table("checkpoint", "figure", "value", "target")
    for name in options.only:
        model = ModelKey(name)
        source = CheckpointSource(source=str((options.checkpoints / name).absolute()), size=Size.DEMO)
        figures = EVALUATIONS[model](locate(model, source))
        for figure in figures:
            target = "" if figure.target is None else f"{'<=' if figure.at_most else '>='} {figure.target:g}"
            style = "" if figure.meets_target else "red"
            table.add_row(name, figure.name, f"{figure.value:.3f}", target, style=style)
        write_card(options.checkpoints / name, model, {figure.name: figure.value for figure in figures})
    Console(width=120).print(table)


def language(checkpoint: LocatedCheckpoint) -> list[Figure]:
    """Measure accuracy, and the routing of each Asian language to its speaker encoder."""
    clips = held_out_clips("multilingual-test")
    found = predict(LanguageIdentifier(checkpoint, "cpu"), clips)
    right = [answer.language == clip.language for answer, clip in zip(found, clips, strict=True)]
    routed: dict[str, list[bool]] = {}
    for answer, clip in zip(found, clips, strict=True):
        same = encoder_for(answer.language) == encoder_for(clip.language)
        routed.setdefault(clip.language, []).append(same)
    figures = [Figure("accuracy", float(np.mean(right)), 0.95)]
    asian = sorted({clip.language for clip in clips if is_asian(clip)})
    figures += [Figure(f"routed to CN-Celeb: {code}", float(np.mean(routed[code])), 0.97) for code in asian]
    others = [same for code, answers in routed.items() if code not in asian for same in answers]
    return [*figures, Figure("routed to VoxCeleb: all others", float(np.mean(others)))]


def speaker(keep: Callable[[Clip], bool]) -> Callable[[LocatedCheckpoint], list[Figure]]:
    """Build the evaluation of a speaker encoder over all pairs of held-out clips that `keep` accepts."""

    def evaluate(checkpoint: LocatedCheckpoint) -> list[Figure]:
        clips = [clip for clip in held_out_clips("multilingual-test") if keep(clip)]
        encoder = SpeakerEncoder(checkpoint, "cpu")
        vectors = np.stack([answer.vector for answer in predict(encoder, clips)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines, first, second = vectors @ vectors.T, *np.triu_indices(len(clips), 1)
        speakers = np.array([clip.speaker for clip in clips])
        languages = np.array([clip.language for clip in clips])
        same = speakers[first] == speakers[second]
        across = languages[first] != languages[second]
        scores = cosines[first, second]
        accepted = scores >= 0.25
        return [
            Figure("equal error rate", equal_error_rate(same, scores), 0.08, at_most=True),
            Figure("equal error rate across languages", equal_error_rate(same[across], scores[across])),
            Figure(
                "AUC: one voice in two languages against two voices",
                float(roc_auc_score(same[across], scores[across])),
            ),
            Figure("false matches at 0.25", float(accepted[~same].mean())),
            Figure("missed matches at 0.25", float(1 - accepted[same].mean())),
            Figure("held-out voices", float(len(set(speakers)))),
        ]

    return evaluate


def accent(build: Any) -> Callable[[LocatedCheckpoint], list[Figure]]:
    """Build the evaluation of an accent model: American against all other accents."""

    def evaluate(checkpoint: LocatedCheckpoint) -> list[Figure]:
        clips = held_out_clips("accented-test")
        found = predict(build(checkpoint, "cpu"), clips)
        american = [clip.accent == "us" for clip in clips]
        scores = [answer.probabilities["us"] for answer in found]
        right = [answer.accent == clip.accent for answer, clip in zip(found, clips, strict=True)]
        return [
            Figure("AUC: us against the rest", float(roc_auc_score(american, scores)), 0.95),
            Figure("accuracy over the trained accents", float(np.mean(right))),
        ]

    return evaluate


def deepfake(checkpoint: LocatedCheckpoint) -> list[Figure]:
    """Measure single clips, real and vocoded, and longer files with a vocoded part."""
    generator = np.random.default_rng(SEED)
    clips = load_corpus("multilingual-test", lambda *_: None)[:DEEPFAKE_CLIPS]
    detector = DeepfakeDetector(checkpoint, "cpu")
    chunks: list[Waveform] = []
    vocoded: list[bool] = []
    for clip in clips:
        for waveform in (clip.waveform, griffin_lim(clip.waveform, generator), world(clip.waveform)):
            chunks.append(maybe_augment(waveform, generator))
            vocoded.append(waveform is not clip.waveform)
    scores = [score.ai_generated for chunk in chunks for score in detector([chunk])]
    agreement = [spliced_f1(detector, clips, generator) for _ in range(SPLICED)]
    return [
        Figure("chunk AUC", float(roc_auc_score(vocoded, scores)), 0.95),
        Figure("chunk accuracy at 0.5", float(np.mean((np.array(scores) > 0.5) == np.array(vocoded)))),
        Figure("F1 of flagged time in spliced files", float(np.mean(agreement)), 0.85),
    ]


def spliced_f1(detector: DeepfakeDetector, clips: Sequence[Clip], generator: np.random.Generator) -> float:
    """Return the F1 of the flagged chunks' time against the vocoded time in a spliced file."""
    chosen = [clips[index].waveform for index in generator.choice(len(clips), 6, replace=False)]
    vocoder = griffin_lim if generator.random() < 0.5 else lambda waveform, _: world(waveform)
    parts = [*chosen[:2], *(vocoder(waveform, generator) for waveform in chosen[2:4]), *chosen[4:]]
    start = sum(map(len, parts[:2]))
    end = start + sum(map(len, parts[2:4]))
    whole = np.concatenate(parts)
    truth, flagged = np.zeros(len(whole), bool), np.zeros(len(whole), bool)
    truth[start:end] = True
    chunk = int(CHUNK_S * SAMPLE_RATE_HZ)
    pieces = spans(len(whole), chunk, int(chunk * (1 - OVERLAP)))
    for first, last in pieces:
        (score,) = detector([whole[first:last]])
        flagged[first:last] |= score.ai_generated > 0.5
    return float(2 * (truth & flagged).sum() / (truth.sum() + flagged.sum()))


def diarization(checkpoint: LocatedCheckpoint) -> list[Figure]:
    """Measure on simulated conversations and on pyannote.audio's real sample, without a collar."""
    generator = np.random.default_rng(SEED)
    voices = by_speaker(load_corpus("conversations-test", lambda *_: None))
    diarizer = Diarizer(checkpoint, "cpu")
    metric, counted = DiarizationErrorRate(collar=0.0, skip_overlap=False), []
    for _ in range(CONVERSATIONS):
        conversation = simulate(voices, CONVERSATION_S, generator)
        found = diarizer(conversation.waveform, SpeakerCount())
        metric(to_annotation(conversation.turns), to_annotation(found.turns), uem=None)
        counted.append(len(found.speakers) == len({turn.speaker for turn in conversation.turns}))
    package = find_spec("pyannote.audio")
    assert package is not None
    assert package.origin is not None
    sample = Path(package.origin).parent / "sample" / "sample"
    real = diarizer(decode(sample.with_suffix(".wav").read_bytes(), AudioLimits()), SpeakerCount())
    reference = load_rttm(sample.with_suffix(".rttm"))["sample"]
    return [
        Figure("diarization error rate", float(abs(metric)), 0.15, at_most=True),
        Figure("share of conversations with the right speaker count", float(np.mean(counted)), 0.85),
        Figure(
            "diarization error rate of pyannote.audio's real sample",
            float(DiarizationErrorRate(collar=0.0)(reference, to_annotation(real.turns))),
        ),
        Figure("speakers found in that sample (2 are right)", float(len(real.speakers))),
    ]


def held_out_clips(name: str) -> list[Clip]:
    """Load an evaluation corpus and augment half of it."""
    generator = np.random.default_rng([SEED, CORPORA[name].seed])
    return [
        Clip(maybe_augment(clip.waveform, generator), clip.speaker, clip.language, clip.accent)
        for clip in load_corpus(name, lambda *_: None)
    ]


def maybe_augment(waveform: Waveform, generator: np.random.Generator) -> Waveform:
    """Augment a clip with a probability of one half."""
    return augment(waveform, generator) if generator.random() < 0.5 else waveform


def predict(pipeline: Any, clips: Sequence[Clip]) -> list[Any]:
    """Run a pipeline over clips in batches and return one result per clip."""
    waveforms = [clip.waveform for clip in clips]
    starts = range(0, len(waveforms), BATCH)
    return [answer for start in starts for answer in pipeline(waveforms[start : start + BATCH])]


def equal_error_rate(same: np.ndarray, scores: np.ndarray) -> float:
    """Return the error rate at the threshold with equal rates of false and missed matches."""
    false, true, _ = roc_curve(same, scores)
    index = int(np.argmin(np.abs(false - (1 - true))))
    return float((false[index] + 1 - true[index]) / 2)


EVALUATIONS: dict[ModelKey, Callable[[LocatedCheckpoint], list[Figure]]] = {
    ModelKey.LANGUAGE: language,
    ModelKey.SPEAKER_VOXCELEB: speaker(lambda clip: not is_asian(clip)),
    ModelKey.SPEAKER_CNCELEB: speaker(is_asian),
    ModelKey.ACCENT_XLSR: accent(XlsrAccentClassifier),
    ModelKey.ACCENT_ECAPA: accent(EcapaAccentClassifier),
    ModelKey.DEEPFAKE: deepfake,
    ModelKey.DIARIZATION_31: diarization,
    ModelKey.DIARIZATION_COMMUNITY_1: diarization,
}


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
