"""A tiny labelled folder of tones, and an analyzer that hears in them what it is to answer."""

import csv
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np
import pytest
import soundfile

from config.settings import DecoderSettings, GraphSettings
from deployments.api.app import create_app
from deployments.state.local_state import LocalState
from voxgraph.calibration import SpeakerCalibration
from voxgraph.errors import ModelUnavailable, VoxError
from voxgraph.options import ChunkOptions, ModelKey, Task
from voxgraph.results import (
    SAMPLE_RATE_HZ,
    AccentResult,
    Analysis,
    DeepfakeChunk,
    DeepfakeScore,
    DeepfakeVerdict,
    DiarizationResult,
    Embedding,
    GraphHealth,
    LanguageResult,
    ModelInfo,
    SpeakerResult,
    Turn,
    Waveform,
)

LANGUAGES = ("en", "de", "fr")
STEP_HZ = 40
"""Voices are this far apart; the frequency of a tone is ``STEP_HZ * (1 + voice)``."""


def tone(voice: int, seconds: float, level: float = 0.5) -> Waveform:
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (level * np.sin(2 * np.pi * STEP_HZ * (1 + voice) * time)).astype(np.float32)


def heard_voice(waveform: Waveform) -> int:
    spectrum = np.abs(np.fft.rfft(waveform))
    return round(spectrum.argmax() * SAMPLE_RATE_HZ / len(waveform) / STEP_HZ) - 1


class Hearing:
    """An analyzer whose answers follow from the tone: the voice from its pitch, the rest from the voice.

    Voice v speaks language v % 3 of `LANGUAGES`; even voices are American; a loud tone is generated.
    """

    def __init__(self) -> None:
        self.state = LocalState()
        self.gallery = None
        self.max_requests = 128
        self.diarization_model = ModelKey.DIARIZATION_COMMUNITY_1
        self.spaces = ("a/b",)
        self.noise = 0.3
        self.calibration: SpeakerCalibration | None = None
        self.errors: dict[Task, VoxError] = {}
        self.overloads = 0
        self.in_progress = self.most_in_progress = 0

    def deadline_s(self, diarizes: bool) -> float:
        return 60.0

    async def analyze(
        self, waveform: Waveform, tasks: tuple[Task, ...], *_speakers: object, **_options: object
    ) -> Analysis:
        for task in tasks:
            if task in self.errors:
                raise self.errors[task]
        voice, loud = heard_voice(waveform), float(np.abs(waveform).max()) > 0.6
        code = LANGUAGES[voice % 3]
        language = LanguageResult(code, code, 0.9, {code: 0.9, "nl": 0.1})
        generator = np.random.default_rng(voice)
        vector = generator.normal(size=192) + self.noise * np.random.default_rng(
            [voice, len(waveform)]
        ).normal(size=192)
        space = self.spaces[voice % len(self.spaces)]
        us = 0.9 if voice % 2 == 0 else 0.2
        score = DeepfakeScore(0.8, 0.2) if loud else DeepfakeScore(0.1, 0.9)
        middle, end = len(waveform) / SAMPLE_RATE_HZ / 2, len(waveform) / SAMPLE_RATE_HZ
        turns = (Turn(0.0, middle, "SPEAKER_00"), Turn(middle, end, "SPEAKER_01"))
        chunks = [DeepfakeChunk(0, 0.0, end, score)]
        return Analysis(
            language=language if "language" in tasks else None,
            speaker=SpeakerResult(Embedding(vector.astype(np.float32), space, "1"), language)
            if "speaker" in tasks
            else None,
            accent=AccentResult.from_probabilities(["us", "england"], [us, 1 - us])
            if "accent" in tasks
            else None,
            diarization=DiarizationResult(turns, turns, ("SPEAKER_00", "SPEAKER_01"))
            if "diarization" in tasks
            else None,
            deepfake=DeepfakeVerdict.from_chunks(chunks, ChunkOptions()) if "deepfake" in tasks else None,
        )

    async def info(self, model: ModelKey) -> ModelInfo:
        raise ModelUnavailable(f"Model {model} is not loaded.")

    async def health(self) -> GraphHealth:
        encoder = ModelInfo("speaker_voxceleb", "a/b", "1", "hub", "cpu", 7, same_speaker=self.calibration)
        return GraphHealth(models={"speaker_voxceleb": encoder})


@dataclass
class Folder:
    """A folder with a manifest that grows clip by clip."""

    path: Path
    rows: list[dict[str, object]] = field(default_factory=list)

    def add(self, name: str, waveform: Waveform, **labels: object) -> None:
        soundfile.write(self.path / name, waveform, SAMPLE_RATE_HZ, subtype="FLOAT", format="WAV")
        self.rows.append({"file": name, **labels})
        self.write()

    def write(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with (self.path / "manifest.tsv").open("w", newline="") as file:
            writer = csv.DictWriter(file, names, delimiter="\t")
            writer.writeheader()
            writer.writerows(self.rows)

    def add_conversation(self, name: str, seconds: float) -> None:
        soundfile.write(self.path / f"{name}.wav", tone(3, seconds), SAMPLE_RATE_HZ)
        turns = [(0.0, seconds / 2, "A"), (seconds / 2, seconds / 2, "B")]
        lines = [
            f"SPEAKER {name} 1 {start} {length} <NA> <NA> {who} <NA> <NA>" for start, length, who in turns
        ]
        (self.path / f"{name}.rttm").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Two sources with real English, German and French, and one with generated speech."""
    made = Folder(tmp_path / "data")
    made.path.mkdir()
    for voice in range(12):
        for number in range(3):
            made.add(
                f"{voice}_{number}.wav", tone(voice, 1.0 + 0.25 * number),
                source="radio" if voice < 6 else "phone", lang=LANGUAGES[voice % 3], speaker=f"s{voice}",
                sex="f" if voice % 4 < 2 else "m", age=8 if voice < 3 else 30, label="real",
                us=int(voice % 2 == 0) if voice % 3 == 0 else "", accent="", generator="",
            )  # fmt: skip
    for voice in range(3):
        made.add(
            f"fake_{voice}.wav", tone(voice, 1.5, 0.9),
            source="robot", lang=LANGUAGES[voice], label="fake", generator="VITS",
        )  # fmt: skip
    return made


@pytest.fixture
def analyzer() -> Hearing:
    return Hearing()


@pytest.fixture
async def client(analyzer: Hearing) -> AsyncIterator[httpx2.AsyncClient]:
    settings = GraphSettings(decoders=DecoderSettings(processes=0))
    transport = httpx2.ASGITransport(create_app(analyzer, settings), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://voxgraph") as made:
        yield made
