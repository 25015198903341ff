"""From recordings to what galleries compare: voices in every space of the graph, and evidence. No Ray."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence, Set

import numpy as np

from pipelines.audio.quality import measure
from pipelines.routing import ENCODERS
from voxgraph.analyzer import Analyzer
from voxgraph.options import ModelKey, Task
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    DeepfakeVerdict,
    DiarizationResult,
    Evidence,
    Observation,
    Quality,
    Space,
    SpeakerResult,
    Turn,
    VoiceSample,
    Waveform,
)

Span = tuple[float, float]
"""Start and end in seconds."""
HEARD_S, HEARD_SHARE = 1.0, 0.1
"""Seconds, and share of the speech, from which on somebody counts as one who speaks in a recording: shorter
turns are often a cough, or the segmentation's doubt about the voice of the other."""
LEAST_PIECE_S = 0.3
"""Seconds of the shortest piece that is taken of a diarized speaker."""
MOST_S = 60.0
"""Seconds of speech of a diarized speaker that are embedded, the longest pieces first."""
LEAST_VOICE_S = 0.5
"""Seconds of a diarized speaker's pieces below which there is no voice to compare."""


class Observer:
    """Asks an analyzer what a gallery needs to know of a recording."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer

    async def whole(
        self, waveform: Waveform, quality: Quality | None = None, *, spoof: bool = False
    ) -> Observation:
        """Observe a recording of one person.

        Args:
            waveform: (samples,), float32, 16 kHz.
            quality: Notes about the file, if there is one.
            spoof: Whether the deepfake model is asked, too.

        Raises:
            VoxError: As `voxgraph.analyzer.Analyzer.analyze` does.
        """
        first, *others = (await self.encoders()).values()
        tasks: tuple[Task, ...] = ("speaker", "diarization", *(("deepfake",) if spoof else ()))
        asked = self._analyzer.analyze(waveform, tasks, encoder=first, allow_no_speech=True)
        found, voices = await asyncio.gather(asked, self._voices(waveform, others))
        assert found.speaker is not None
        assert found.diarization is not None
        turns = found.diarization
        speech_s = turns.speech_s if found.speaker.speech_s is None else found.speaker.speech_s
        evidence = await _evidence(waveform, quality, speech_s, speakers_heard(turns), found.deepfake)
        return Observation(tuple(_sample(voice) for voice in (found.speaker, *voices)), evidence)

    async def speakers(
        self,
        voices: Mapping[str, Waveform],
        found: DiarizationResult,
        quality: Quality | None = None,
        *,
        only: Set[str] | None = None,
        spoof: bool = False,
    ) -> dict[str, Observation]:
        """Observe each diarized speaker by what is said while nobody else talks in the same waveform.

        Args:
            voices: For each speaker the waveform that has the voice.
            found: Who speaks when in them.
            quality: Notes about the file.
            only: The speakers to observe; None: all.
            spoof: Whether the deepfake model is asked, too.

        Returns:
            For each speaker an observation; one who is hardly heard alone has no samples in it.
        """
        encoders = [*(await self.encoders()).values()]
        spans: dict[str, list[Span]] = {}
        for waveform in {id(each): each for each in voices.values()}.values():
            spans |= spans_alone([turn for turn in found.turns if voices[turn.speaker] is waveform])

        async def observe(speaker: str) -> Observation:
            piece = alone(voices[speaker], spans.get(speaker, ()))
            speech_s = len(piece) / SAMPLE_RATE_HZ
            if speech_s < LEAST_VOICE_S:
                return Observation((), await _evidence(piece, quality, speech_s, 1, None), speaker)
            verdict = self._analyzer.detect_deepfake(piece, allow_no_speech=True) if spoof else _nothing()
            deepfake, samples = await asyncio.gather(verdict, self._voices(piece, encoders))
            evidence = await _evidence(piece, quality, speech_s, 1, deepfake)
            return Observation(tuple(_sample(voice) for voice in samples), evidence, speaker)

        asked = [speaker for speaker in found.speakers if only is None or speaker in only]
        observed = await asyncio.gather(*(observe(speaker) for speaker in asked))
        return dict(zip(asked, observed, strict=True))

    async def encoders(self) -> Mapping[tuple[str, str], ModelKey]:
        """Return one encoder for each space of the graph, by its model and revision."""
        by_space: dict[tuple[str, str], ModelKey] = {}
        for key in ENCODERS:
            info = await self._analyzer.info(key)
            by_space.setdefault((info.hub_id, info.revision), key)
        return by_space

    async def _voices(self, waveform: Waveform, encoders: Sequence[ModelKey]) -> list[SpeakerResult]:
        asked = (self._analyzer.embed(waveform, key, allow_no_speech=True) for key in encoders)
        return await asyncio.gather(*asked)


def speakers_heard(found: DiarizationResult) -> int:
    """Return how many people speak in a recording, without those who are heard for a moment only."""
    seconds = dict.fromkeys(found.speakers, 0.0)
    for turn in found.turns:
        seconds[turn.speaker] += turn.end_s - turn.start_s
    enough_s = max(HEARD_S, HEARD_SHARE * sum(seconds.values()))
    return max(sum(each >= enough_s for each in seconds.values()), min(len(seconds), 1))


def alone(waveform: Waveform, spans: Sequence[Span]) -> Waveform:
    """Return what is said in the longest of some spans, at most `MOST_S` seconds, in its order."""
    taken, seconds = list[Span](), 0.0
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        length = min(end - start, MOST_S - seconds)
        if length < LEAST_PIECE_S:
            break
        taken.append((start, start + length))
        seconds += length
    cut = [
        waveform[round(start * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)] for start, end in sorted(taken)
    ]
    return np.concatenate(cut) if cut else np.zeros(0, np.float32)


def spans_alone(turns: Sequence[Turn]) -> dict[str, list[Span]]:
    """Return for each speaker the spans in which nobody else talks, in seconds."""
    edges = [(turn.start_s, 1, turn.speaker) for turn in turns]
    edges += [(turn.end_s, -1, turn.speaker) for turn in turns]
    found: dict[str, list[Span]] = {}
    talking: Counter[str] = Counter()
    since_s = 0.0
    for at_s, change, speaker in sorted(edges):
        if len(talking) == 1 and at_s > since_s:
            spans = found.setdefault(next(iter(talking)), [])
            goes_on = bool(spans) and spans[-1][1] == since_s
            spans.append((spans.pop()[0] if goes_on else since_s, at_s))
        talking[speaker] += change
        if not talking[speaker]:
            del talking[speaker]
        since_s = at_s
    return found


def _sample(voice: SpeakerResult) -> VoiceSample:
    embedding = voice.embedding
    return VoiceSample(Space(embedding.model, embedding.revision, len(embedding.vector)), embedding.vector)


async def _evidence(
    waveform: Waveform,
    quality: Quality | None,
    speech_s: float,
    heard: int,
    deepfake: DeepfakeVerdict | None,
) -> Evidence:
    measured = await asyncio.to_thread(measure, waveform)
    chunks = () if deepfake is None else deepfake.chunks
    return Evidence(
        speech_s=speech_s,
        duration_s=len(waveform) / SAMPLE_RATE_HZ,
        snr_db=measured.snr_db,
        clipped_ratio=0.0 if quality is None else quality.clipped_ratio,
        bandwidth_hz=measured.bandwidth_hz,
        speakers_heard=heard,
        spoof_verdict=None if deepfake is None else deepfake.verdict.value,
        spoof_score=sum(chunk.score.ai_generated for chunk in chunks) / len(chunks) if chunks else None,
    )


async def _nothing() -> None:
    return None
