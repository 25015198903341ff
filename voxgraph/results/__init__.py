"""The answers of the graph: frozen dataclasses that handles, HTTP and pipelines share.

They are pickled between processes, so this package needs numpy and nothing of the graph. What an answer means
(more than half of the chunks make a deepfake, an embedding is scaled to length 1) is decided here, so that
HTTP and handles give the same answer.
"""

from voxgraph.results.accent import US_ACCENT, AccentResult
from voxgraph.results.analysis import Analysis
from voxgraph.results.audio import SAMPLE_RATE_HZ, Waveform
from voxgraph.results.deepfake import DeepfakeChunk, DeepfakeScore, DeepfakeVerdict, Finding, OperatingPoints
from voxgraph.results.diarization import DiarizationResult, FrameConfidence, Turn
from voxgraph.results.events import AnalysisEvent, Progress, Received, TaskAnswer, TaskFailure
from voxgraph.results.gallery import (
    CalibrationReport,
    Candidate,
    Decision,
    Duplicate,
    DuplicateGate,
    Evidence,
    GalleryPolicy,
    Observation,
    OperatingPoint,
    Reason,
    Space,
    SpoofGate,
    VoiceDecision,
    VoiceSample,
)
from voxgraph.results.gallery_records import (
    SPEAKER_STATES,
    Consent,
    DecisionReview,
    Enrolment,
    ErasureReceipt,
    GalleryInfo,
    GalleryPage,
    LedgerCheck,
    LedgerEntry,
    ReceiptPage,
    ReferenceInfo,
    ReviewSummary,
    SpeakerInfo,
    SpeakerPage,
    SpeakerState,
    Verdict,
)
from voxgraph.results.language import TOP_LANGUAGES, UNKNOWN_LANGUAGE, LanguageResult, shortness
from voxgraph.results.matches import Match, StoredVoice
from voxgraph.results.models import GraphHealth, ModelInfo, ReplicaStatus
from voxgraph.results.quality import Quality
from voxgraph.results.speaker import Embedding, SpeakerResult

__all__ = [
    "SAMPLE_RATE_HZ",
    "SPEAKER_STATES",
    "TOP_LANGUAGES",
    "UNKNOWN_LANGUAGE",
    "US_ACCENT",
    "AccentResult",
    "Analysis",
    "AnalysisEvent",
    "CalibrationReport",
    "Candidate",
    "Consent",
    "Decision",
    "DecisionReview",
    "DeepfakeChunk",
    "DeepfakeScore",
    "DeepfakeVerdict",
    "DiarizationResult",
    "Duplicate",
    "DuplicateGate",
    "Embedding",
    "Enrolment",
    "ErasureReceipt",
    "Evidence",
    "Finding",
    "FrameConfidence",
    "GalleryInfo",
    "GalleryPage",
    "GalleryPolicy",
    "GraphHealth",
    "LanguageResult",
    "LedgerCheck",
    "LedgerEntry",
    "Match",
    "ModelInfo",
    "Observation",
    "OperatingPoint",
    "OperatingPoints",
    "Progress",
    "Quality",
    "Reason",
    "ReceiptPage",
    "Received",
    "ReferenceInfo",
    "ReplicaStatus",
    "ReviewSummary",
    "Space",
    "SpeakerInfo",
    "SpeakerPage",
    "SpeakerResult",
    "SpeakerState",
    "SpoofGate",
    "StoredVoice",
    "TaskAnswer",
    "TaskFailure",
    "Turn",
    "Verdict",
    "VoiceDecision",
    "VoiceSample",
    "Waveform",
    "shortness",
]
