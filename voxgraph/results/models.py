"""The models that answer, and where they run."""

from dataclasses import dataclass, field

from voxgraph.calibration import SpeakerCalibration


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that a replica has loaded, and where it runs."""

    key: str
    """The model's key, one of `voxgraph.options.ModelKey`."""
    hub_id: str
    revision: str
    source: str
    """``hub``, ``starter`` or ``local``."""
    device: str
    """``cpu`` or ``cuda:0``."""
    parameters: int
    labels: tuple[str, ...] = ()
    """Class labels in the order of the checkpoint; empty if the model has no classes."""
    engine: str = "torch"
    """``torch`` or ``openvino``."""
    precision: str = "float32"
    """Type of matrix products and convolutions: ``float32``, ``bfloat16`` or ``float16``."""
    engine_reason: str = ""
    """One sentence that explains the choice of engine and precision."""
    batch_items: int = 1
    """Maximum number of clips in a forward pass, measured when the replica started."""
    same_speaker: SpeakerCalibration | None = None
    """Calibration of a speaker encoder; None for other models and for encoders that have none."""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """The model of a replica and the memory of its process."""

    model: ModelInfo
    memory_mb: float
    """Resident memory of the process in 10^6 bytes."""


@dataclass(slots=True)
class GraphHealth:
    """The models that answer now, and those that should but do not."""

    models: dict[str, ModelInfo] = field(default_factory=dict)
    """Loaded models by key."""
    failed: dict[str, str] = field(default_factory=dict)
    """Reason why a model does not answer, by key."""
    memory_mb: float = 0.0
    """Resident memory of one replica of each model and of the answering ingress replica, in 10^6 bytes."""
