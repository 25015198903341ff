"""Cut labelled recordings into what a person enrols and what is heard later, and embed both.

The sentences of a speaker are joined in the order of the manifest. The first `ENROL_S` seconds are enrolled,
in references of `REFERENCE_S`; probes of several lengths are cut from sentences that come after them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from config.settings import STARTER, AudioLimits, CheckpointSource, Size
from evaluation.manifest import Clip, read_manifest
from pipelines.audio.decoding import decode
from pipelines.audio.quality import measure
from pipelines.checkpoints import locate
from pipelines.speaker_campplus import CamPlusPlusEncoder
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

ENROL_S = 20.0
REFERENCE_S = 10.0
SHORT_REFERENCE_S = 5.0
PROBE_S = 6.0
PROBES_S = {PROBE_S: 4, PROBE_S / 2: 2, 2 * PROBE_S: 1}
"""Most probes of a speaker for each length in seconds; those of one length do not overlap."""
LONGEST_S = ENROL_S + 40.0
"""Seconds of a speaker's sentences that are joined."""
REFERENCE, SHORT_REFERENCE, PROBE = "reference", "short reference", "probe"


@dataclass(frozen=True, slots=True)
class Pieces:
    """The embedded pieces of many speakers; each field has one entry for each piece."""

    vectors: NDArray[np.float32]
    """(pieces, dimension), not normalised."""
    speakers: NDArray[np.str_]
    sources: NDArray[np.str_]
    ages: NDArray[np.int64]
    """Years; -1 where nobody says it."""
    kinds: NDArray[np.str_]
    """`REFERENCE`, `SHORT_REFERENCE` or `PROBE`."""
    lengths_s: NDArray[np.float64]
    """Seconds of the piece."""
    active_s: NDArray[np.float64]
    """Seconds of it that stand out from the noise, `pipelines.audio.quality.Measured.active_s`."""
    space: NDArray[np.str_]
    """(2,): hub id and revision of the encoder."""

    def save(self, path: Path) -> None:
        """Write all pieces to an ``.npz``."""
        np.savez(path, **{name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, path: Path) -> "Pieces":
        """Read what `save` wrote."""
        with np.load(path) as found:
            return cls(**{name: found[name] for name in cls.__slots__})

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "Pieces":
        """Return the chosen pieces, by a mask, (pieces,), or by indices."""
        fields = {name: getattr(self, name)[chosen] for name in self.__slots__ if name != "space"}
        return Pieces(**fields, space=self.space)


@dataclass(frozen=True, slots=True)
class Piece:
    """One span of a speaker's joined sentences."""

    kind: str
    start_s: float
    length_s: float


def layout(total_s: float, boundaries_s: Sequence[float]) -> Iterator[Piece]:
    """Choose the pieces of one speaker.

    Args:
        total_s: Length of the joined sentences.
        boundaries_s: Where sentences begin, ascending.
    """
    references = int(min(ENROL_S, max(0.0, total_s - PROBE_S)) // REFERENCE_S)
    for number in range(references):
        yield Piece(REFERENCE, number * REFERENCE_S, REFERENCE_S)
    enrolled_s = references * REFERENCE_S or SHORT_REFERENCE_S
    if total_s < enrolled_s + PROBE_S / 2:
        return
    yield Piece(SHORT_REFERENCE, 0.0, SHORT_REFERENCE_S)
    # A sentence of which one half is enrolled would be easier to find by its other half.
    later = [start for start in boundaries_s if start >= enrolled_s and total_s - start >= PROBE_S]
    first = min(later, default=enrolled_s)
    for length_s, most in PROBES_S.items():
        for number in range(min(most, int((total_s - first) / length_s))):
            yield Piece(PROBE, first + number * length_s, length_s)


def embed_pieces(folder: Path, sources: Sequence[str]) -> Pieces:
    """Embed the pieces of all speakers of some sources of real speech with the starter's encoder.

    Args:
        folder: The folder with ``manifest.tsv``.
        sources: Names of its sources.
    """
    encoder = CamPlusPlusEncoder(
        locate(ModelKey.SPEAKER_VOXCELEB, CheckpointSource(source=STARTER, size=Size.STARTER)), "cpu"
    )
    clips = [clip for clip in read_manifest(folder) if clip.source in sources and clip.label == "real"]
    clips.sort(key=lambda clip: clip.voice)
    rows = []
    for (source, speaker), own in groupby(clips, key=lambda clip: clip.voice):
        sentences = list(read_sentences(folder, list(own)))
        age = sentences[0][0].age
        joined = np.concatenate([samples for _, samples in sentences])
        ends_s = np.cumsum([len(samples) for _, samples in sentences]) / SAMPLE_RATE_HZ
        for piece in layout(len(joined) / SAMPLE_RATE_HZ, [0.0, *ends_s]):
            start = round(piece.start_s * SAMPLE_RATE_HZ)
            samples = joined[start : start + round(piece.length_s * SAMPLE_RATE_HZ)]
            vector = encoder([samples])[0].vector
            active_s = measure(samples).active_s
            known = speaker, source, -1 if age is None else age
            rows.append((vector, *known, piece.kind, piece.length_s, active_s))
    vectors, speakers, names, ages, kinds, lengths_s, active = map(np.array, zip(*rows, strict=True))
    space = np.array([encoder.info.hub_id, encoder.info.revision])
    return Pieces(vectors, speakers, names, ages, kinds, lengths_s, active, space)


def read_sentences(folder: Path, clips: Sequence[Clip]) -> Iterator[tuple[Clip, Waveform]]:
    """Yield the samples of one speaker's clips until there are `LONGEST_S`; each file is decoded once."""
    seconds, name, recording = 0.0, "", np.zeros(0, np.float32)
    for clip in clips:
        if clip.file != name:
            name, recording = clip.file, decode((folder / clip.file).read_bytes(), AudioLimits())
        start = round(clip.start_s * SAMPLE_RATE_HZ)
        end = len(recording) if clip.duration_s is None else start + round(clip.duration_s * SAMPLE_RATE_HZ)
        yield clip, recording[start:end]
        seconds += (end - start) / SAMPLE_RATE_HZ
        if seconds >= LONGEST_S:
            return
