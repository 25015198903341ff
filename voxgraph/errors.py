"""The errors of voxgraph.

VoxError
├── InvalidAudio              the recording cannot be analysed
│   ├── EmptyAudio            no bytes, or no samples
│   ├── UnsupportedAudio      a container or codec that is not supported
│   ├── CorruptAudio          a known container whose content is truncated or contradictory
│   ├── UndecodableAudio      the decoder crashed on it
│   ├── DecodingTooCostly     decoding takes more memory or processor time than is allowed
│   ├── AudioTooShort         fewer seconds than the model needs
│   ├── AudioTooLong          more seconds than the limit
│   ├── NoSpeech              nobody speaks in it
│   └── NonFiniteAudio        NaN or infinite samples
├── InvalidRequest            the request itself is wrong
│   ├── UnsupportedEncoding   a body compressed in a way that is not supported
│   ├── UnreadableBody        a compressed body that is damaged or truncated
│   ├── UploadTooLarge        more bytes than the limit
│   ├── UploadMissing         the body or the named form field is not there
│   ├── NotFound              no such job, upload, gallery or speaker, or no longer
│   ├── Erased                the speaker was erased before the recording could be enrolled
│   ├── Conflict              what is kept forbids the change
│   │   ├── ConsentMissing    no consent record, or it was withdrawn or has expired
│   │   └── SpeakerOptedOut   the person does not want to be enrolled
│   ├── NotAcceptable         an answer in a format that there is not
│   ├── InvalidOptions        option values that exclude each other or are out of range
│   ├── InvalidEmbedding      wrong length, zero or non-finite vector
│   ├── UnreadableEmbedding   an embedding file in an unsupported format, damaged or with forbidden content
│   └── SpaceMismatch         embeddings of two encoders
├── ModelError                the service is at fault, not the caller
│   ├── CheckpointError       a checkpoint is missing, incomplete or of another architecture
│   ├── ModelUnavailable      a model is not loaded or its replica is gone
│   ├── GalleryUnavailable    the graph keeps no voices, or their store cannot be reached
│   └── InferenceError        a forward pass failed
├── DeadlineExceeded          the answer was not ready in time
└── Overloaded                every queue is full; try again later
    └── RateLimited           this client has its share, or asks more often than it may

The HTTP client has three more, in `voxgraph.client.errors`.

Each carries a sentence for the caller in ``detail`` and a stable name in ``code``. They are pickled
between processes, so every argument goes to ``super().__init__``.
"""

from typing import ClassVar

TIMEOUT_MESSAGE = "The answer was not ready in time."
"""Detail of a question that took too long, whoever gave up first."""


class VoxError(Exception):
    """Base class of every error that voxgraph raises on purpose.

    Args:
        detail: One sentence for the caller: what is wrong and, if there is a limit, the limit.
    """

    code: ClassVar[str] = "error"
    request_id: str | None = None
    """Id of the request that failed, to be found in the server's log; `voxgraph.Client` sets it."""

    def __init_subclass__(cls, code: str | None = None) -> None:
        super().__init_subclass__()
        cls.code = code or cls.code

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidAudio(VoxError, code="invalid_audio"):
    """The recording cannot be analysed."""


class EmptyAudio(InvalidAudio, code="empty_audio"):
    """There are no bytes, or no samples in them."""


class UnsupportedAudio(InvalidAudio, code="unsupported_audio"):
    """The container or codec is not supported, or the number of channels or the sample rate is absurd."""


class CorruptAudio(InvalidAudio, code="corrupt_audio"):
    """The content of a known container is truncated or contradicts its header."""


class UndecodableAudio(InvalidAudio, code="undecodable"):
    """The decoder crashed on the recording."""


class DecodingTooCostly(InvalidAudio, code="decoding_too_costly"):
    """Decoding takes more memory or processor time than a recording of its size and length may take."""


class AudioTooShort(InvalidAudio, code="audio_too_short"):
    """The recording has fewer seconds than the model needs."""


class AudioTooLong(InvalidAudio, code="audio_too_long"):
    """The recording has more decoded seconds than the limit."""


class NoSpeech(InvalidAudio, code="no_speech"):
    """Nobody speaks in the recording, so that an answer about a voice or a language would mean nothing."""


class NonFiniteAudio(InvalidAudio, code="non_finite_audio"):
    """The recording has NaN or infinite samples."""


class InvalidRequest(VoxError, code="invalid_request"):
    """The request itself is wrong."""


class UnsupportedEncoding(InvalidRequest, code="unsupported_encoding"):
    """The body is compressed in a way that is not supported."""


class UnreadableBody(InvalidRequest, code="unreadable_body"):
    """The compressed body is damaged or truncated."""


class UploadTooLarge(InvalidRequest, code="upload_too_large"):
    """The upload has more bytes than the limit."""


class UploadMissing(InvalidRequest, code="upload_missing"):
    """The body or the named form field is not there."""


class InvalidOptions(InvalidRequest, code="invalid_options"):
    """Option values exclude each other or are out of range."""


class NotFound(InvalidRequest, code="not_found"):
    """There is no such job, upload, gallery, speaker or reference, or no longer."""


class Erased(InvalidRequest, code="erased"):
    """The speaker was erased while the recording was heard; nothing of it was stored."""


class Conflict(InvalidRequest, code="conflict"):
    """What is kept forbids the change."""


class ConsentMissing(Conflict, code="consent_missing"):
    """There is no consent record of the speaker, or it was withdrawn or has expired."""


class SpeakerOptedOut(Conflict, code="speaker_opted_out"):
    """The person asked never to be enrolled in the gallery."""


class NotAcceptable(InvalidRequest, code="not_acceptable"):
    """The answer cannot be written in a format that the caller accepts."""


class InvalidEmbedding(InvalidRequest, code="invalid_embedding"):
    """A vector has the wrong length, is zero, or has non-finite numbers."""


class UnreadableEmbedding(InvalidRequest, code="unreadable_embedding"):
    """An embedding file is damaged, has an unsupported format, or contains more than numbers."""


class SpaceMismatch(InvalidRequest, code="space_mismatch"):
    """Embeddings come from different encoders, so their distance has no meaning."""


class ModelError(VoxError, code="model_error"):
    """The service is at fault, not the caller."""


class CheckpointError(ModelError, code="checkpoint_error"):
    """A checkpoint is missing, incomplete, or of another architecture."""


class ModelUnavailable(ModelError, code="model_unavailable"):
    """A model is not loaded or its replica is gone."""


class GalleryUnavailable(ModelError, code="gallery_unavailable"):
    """The graph keeps no voices, or their store cannot be reached."""


class InferenceError(ModelError, code="inference_error"):
    """A forward pass failed."""


class DeadlineExceeded(VoxError, code="deadline_exceeded"):
    """The answer was not ready in time."""


class Overloaded(VoxError, code="overloaded"):
    """Every queue is full; the caller may try again after a pause."""


class RateLimited(Overloaded, code="rate_limited"):
    """This client holds its share, or asks more often than it may; others are still answered."""
