"""The errors of voxgraph.

VoxError
├── InvalidAudio              the recording cannot be analysed
│   ├── EmptyAudio            no bytes, or no samples
│   ├── UnsupportedAudio      not a container or codec that is read here
│   ├── CorruptAudio          a known container whose content breaks off or contradicts itself
│   ├── AudioTooShort         fewer seconds than the model needs
│   ├── AudioTooLong          more seconds than the limit
│   └── NonFiniteAudio        NaN or infinite samples
├── InvalidRequest            the question cannot be answered as asked
│   ├── UploadTooLarge        more bytes than the limit
│   ├── UploadMissing         the body or the named form field is not there
│   ├── InvalidOptions        option values that exclude each other or are out of range
│   ├── InvalidEmbedding      wrong length, zero or non-finite vector
│   ├── UnreadableEmbedding   an embedding file of no format that is read here, damaged or not allowed
│   └── SpaceMismatch         embeddings of two encoders
├── ModelError                our fault or the machine's
│   ├── CheckpointError       a checkpoint is missing, incomplete or of another architecture
│   ├── ModelUnavailable      a model is not loaded or its replica is gone
│   └── InferenceError        a forward pass failed
├── DeadlineExceeded          the answer was not ready in time
└── Overloaded                every queue is full; try again later

Each carries a sentence for the caller in ``detail`` and a stable name in ``code``. They cross
process borders by pickle, so every argument goes to ``super().__init__``.
"""


class VoxError(Exception):
    """Base of every error that voxgraph raises on purpose.

    Args:
        detail: One sentence for the caller: what is wrong and, where there is one, the limit.
    """

    code = "error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidAudio(VoxError):
    """The recording cannot be analysed."""

    code = "invalid_audio"


class EmptyAudio(InvalidAudio):
    """There are no bytes, or no samples in them."""

    code = "empty_audio"


class UnsupportedAudio(InvalidAudio):
    """Not a container or codec that is read here, or too many channels, or an absurd sample rate."""

    code = "unsupported_audio"


class CorruptAudio(InvalidAudio):
    """A known container whose content breaks off or contradicts its header."""

    code = "corrupt_audio"


class AudioTooShort(InvalidAudio):
    """Fewer seconds than the model needs."""

    code = "audio_too_short"


class AudioTooLong(InvalidAudio):
    """More decoded seconds than the limit."""

    code = "audio_too_long"


class NonFiniteAudio(InvalidAudio):
    """NaN or infinite samples."""

    code = "non_finite_audio"


class InvalidRequest(VoxError):
    """The question cannot be answered as asked."""

    code = "invalid_request"


class UploadTooLarge(InvalidRequest):
    """More bytes than the limit."""

    code = "upload_too_large"


class UploadMissing(InvalidRequest):
    """The body or the named form field is not there."""

    code = "upload_missing"


class InvalidOptions(InvalidRequest):
    """Option values that exclude each other or are out of range."""

    code = "invalid_options"


class InvalidEmbedding(InvalidRequest):
    """Wrong length, zero vector or non-finite numbers."""

    code = "invalid_embedding"


class UnreadableEmbedding(InvalidRequest):
    """An embedding file of no format that is read here, or damaged, or with more in it than numbers."""

    code = "unreadable_embedding"


class SpaceMismatch(InvalidRequest):
    """Embeddings of two encoders: their distance means nothing."""

    code = "space_mismatch"


class ModelError(VoxError):
    """Our fault or the machine's, not the caller's."""

    code = "model_error"


class CheckpointError(ModelError):
    """A checkpoint is missing, incomplete, or of another architecture."""

    code = "checkpoint_error"


class ModelUnavailable(ModelError):
    """A model is not loaded or its replica is gone."""

    code = "model_unavailable"


class InferenceError(ModelError):
    """A forward pass failed."""

    code = "inference_error"


class DeadlineExceeded(VoxError):
    """The answer was not ready in time."""

    code = "deadline_exceeded"


class Overloaded(VoxError):
    """Every queue is full; the caller may try again after a pause."""

    code = "overloaded"
