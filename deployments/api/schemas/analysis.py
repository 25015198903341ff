"""The response bodies of an analysis, and of the lines of a batch."""

from typing import Any

from pydantic import BaseModel

from deployments.api.schemas.accent import AccentAnswer
from deployments.api.schemas.common import TimingInfo, example
from deployments.api.schemas.deepfake import DeepfakeAnswer
from deployments.api.schemas.language import LanguageAnswer
from deployments.api.schemas.peaks import PeaksAnswer
from deployments.api.schemas.quality import EXAMPLE, QualityAnswer
from deployments.api.schemas.turns import TurnsAnswer
from deployments.api.schemas.voice import VoiceAnswer
from pipelines.audio.peaks import Peaks
from voxgraph.options import TASKS
from voxgraph.results import Analysis


class AnalysisAnswer(TimingInfo):
    """The answers of all requested tasks; a task that was not requested is left out."""

    model_config = example(
        audio_duration=30.0, processing_time=1.4,
        language={"success": True, "language": "en", "name": "English", "confidence": 0.97,
                  "probabilities": {"en": 0.97}},
        quality=EXAMPLE,
    )  # fmt: skip

    language: LanguageAnswer | None = None
    speaker: VoiceAnswer | None = None
    accent: AccentAnswer | None = None
    diarization: TurnsAnswer | None = None
    deepfake: DeepfakeAnswer | None = None
    peaks: PeaksAnswer | None = None
    quality: QualityAnswer | None = None
    """Notes about the recording; every answer has them."""

    @classmethod
    def from_result(cls, analysis: Analysis, peaks: Peaks | None = None, **others: Any) -> "AnalysisAnswer":
        """Build the answer; a task has the answer of its own endpoint. `others` are further fields."""
        results = {task: getattr(analysis, task) for task in TASKS}
        found: dict[str, Any] = {
            task: task_answer(task, result) for task, result in results.items() if result is not None
        }
        return cls(
            **found,
            peaks=None if peaks is None else PeaksAnswer.model_validate(peaks),
            **others,
        )


def task_answer(task: str, result: Any) -> BaseModel:
    """Build the answer of one task, as it stands in its field of `AnalysisAnswer`."""
    return AccentAnswer.from_result(result, 2) if task == "accent" else _ANSWERS[task].from_result(result)


_ANSWERS: dict[str, Any] = {
    "language": LanguageAnswer,
    "speaker": VoiceAnswer,
    "diarization": TurnsAnswer,
    "deepfake": DeepfakeAnswer,
}


class LineError(BaseModel):
    """The error of one recording of a batch, with fields of `deployments.api.errors.ErrorAnswer`."""

    detail: str
    error_type: str
    code: str


class BatchLine(BaseModel):
    """One recording of a batch: its index in the form, its file name, and its answer or its error."""

    index: int
    filename: str
    answer: AnalysisAnswer | None = None
    error: LineError | None = None
