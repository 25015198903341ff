"""Read uploads into memory, never into a file, with their size limited while they arrive.

The body is the recording itself or a form with files. `pipelines.audio` decodes the recording.
"""

import asyncio
import time
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from pydantic import BaseModel
from starlette.requests import Request

from deployments.api.began import begin, elapsed_s
from deployments.api.body import check_content_length, limits_of, read_limited, too_large
from deployments.api.decoders import Decoder
from deployments.api.forms import (
    FILE_FIELDS,
    MAX_BATCH_FILES,
    Fields,
    Part,
    find_part,
    is_form,
    read_parts,
)
from deployments.api.options import RecordingOptions
from deployments.api.parsing import parse_options
from deployments.api.schemas.common import ProcessingInfo
from deployments.api.schemas.quality import QualityAnswer
from pipelines.audio.decoding import Recording, decode_recording, is_quick
from pipelines.audio.formats import Container, sniff
from voxgraph import errors
from voxgraph.results import SAMPLE_RATE_HZ, Evidence, ModelInfo, Quality, Waveform

MAX_FORM_BYTES = 64 * 1024
"""Size of a form beyond its recording, at most."""

Options = TypeVar("Options", bound=BaseModel)


class Upload:
    """The bytes of a recording and the form fields and query beside them."""

    def __init__(self, request: Request, part: Part, fields: Fields) -> None:
        self._request = request
        self._data = part.data
        self._fields = fields
        self._started = time.perf_counter()
        self._reserved_samples = 0
        self.name = part.name
        """File name from the form, or empty."""
        self.audio_duration = 0.0
        """Seconds of audio; 0.0 until it is decoded."""
        self._quality: Quality | None = None

    @property
    def request_id(self) -> str:
        """Id of the request that carries the upload."""
        request_id: str = self._request.state.request_id
        return request_id

    @property
    def processing_time(self) -> float:
        """Seconds since the upload was read."""
        return round(time.perf_counter() - self._started, 4)

    async def decode(self, options: RecordingOptions) -> Waveform:
        """Decode the recording: a small plain WAV here, anything else by the decoder of the application.

        Raises what `pipelines.audio.decoding.decode_recording` and `budget.Reservation.decode` raise.
        """
        recording = await self._decoded(options.channel, options.diarizes)
        self._drop_data()
        self._quality = recording.quality
        return recording.waveform

    async def decode_channels(self) -> list[Waveform]:
        """Decode every channel of the recording by itself, one after the other; raises what `decode` raises.

        Raises `InvalidOptions` as well, if there are more than `AudioLimits.max_separate_channels`.
        """
        most = limits_of(self._request).max_separate_channels
        recordings = [await self._decoded(0, diarizes=True)]
        count = recordings[0].quality.channels
        if count > most:
            raise errors.InvalidOptions(
                f"The recording has {count} channels; channels=separate takes {most}."
            )
        recordings += [await self._decoded(channel, diarizes=True) for channel in range(1, count)]
        self._drop_data()
        self._quality = Quality.of_channels([recording.quality for recording in recordings])
        return [recording.waveform for recording in recordings]

    async def _decoded(self, channel: int | None, diarizes: bool) -> Recording:
        """Decode the upload, which stays in memory, and reserve the memory of the waveform.

        Raises `DeadlineExceeded` if that takes longer than the whole request may.
        """
        begin()
        started = time.perf_counter()
        if is_quick(self._data):
            # Not reserved: the waveform is only twice as large as the upload, which is in memory anyway.
            recording = decode_recording(self._data, limits_of(self._request), channel=channel)
        else:
            decoder: Decoder = self._request.app.state.decoder
            allowed_s = self._request.app.state.analyzer.deadline_s(diarizes) - elapsed_s()
            try:
                async with asyncio.timeout(allowed_s) as limit:
                    recording = await self._request.state.reservation.decode(decoder, self._data, channel)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise errors.DeadlineExceeded(errors.TIMEOUT_MESSAGE) from error
            self._reserved_samples += len(recording.waveform)
        timings: dict[str, float] = self._request.state.timings
        timings["decode"] = timings.get("decode", 0.0) + time.perf_counter() - started
        self.audio_duration = round(len(recording.waveform) / SAMPLE_RATE_HZ, 3)
        return recording

    def _drop_data(self) -> None:
        """Free the upload and its part of the budget of bodies."""
        self._request.state.body.release(len(self._data))
        self._data = b""

    @property
    def notes(self) -> Quality:
        """The notes about the recording, which must have been decoded."""
        assert self._quality is not None
        return self._quality

    def summary(self, evidence: Evidence | None) -> dict[str, Any]:
        """Return the fields of `Noted` and `TimingInfo` of an answer about a voice."""
        return {
            "quality": self.quality(None if evidence is None else evidence.speech_s),
            "processing_time": self.processing_time,
            "audio_duration": self.audio_duration,
        }

    def quality(self, speech_s: float | None) -> QualityAnswer:
        """Return the notes about the recording, which must have been decoded, and its seconds of speech."""
        return QualityAnswer.from_result(self.notes.heard(speech_s))

    def release(self) -> None:
        """Return the decoded audio to the budget before the request ends, which would also do it."""
        self._request.state.reservation.release(self._reserved_samples)
        self._reserved_samples = 0

    def require_wav(self, limit: int) -> None:
        """Raise `UploadTooLarge` beyond `limit` bytes, and `UnsupportedAudio` if the content is not WAV."""
        if len(self._data) > limit:
            raise too_large(limit)
        if sniff(self._data) is not Container.WAV:
            raise errors.UnsupportedAudio("The recording is not a WAV file; this endpoint accepts only WAV.")

    def options(self, model: type[Options]) -> Options:
        """Parse the options from the query and the form; the form wins.

        Raises `InvalidOptions` as `parse_options` does.
        """
        given = Fields()
        for name, value in self._request.query_params.multi_items():
            given.setdefault(name, []).append(value)
        return parse_options(model, {**given, **self._fields})


def processing_info(info: ModelInfo, *uploads: Upload) -> ProcessingInfo:
    """Return the processing time, the total duration of the uploads and the model's device."""
    return ProcessingInfo(
        processing_time=max(upload.processing_time for upload in uploads),
        audio_duration=round(sum(upload.audio_duration for upload in uploads), 3),
        model_device=info.device,
    )


async def read_upload(request: Request) -> Upload:
    """Read a body that is a recording or a form with one.

    Raises:
        UploadTooLarge: Its declared or received length is over the limit.
        UploadMissing: The form is malformed or has no file in `FILE_FIELDS`.
        EmptyAudio: The recording has no bytes.
        DeadlineExceeded: The upload stalled; see `read_limited`.
    """
    return await _read_recording(request, limits_of(request).max_upload_bytes)


AudioUpload = Annotated[Upload, Depends(read_upload)]


async def read_wav(request: Request) -> Upload:
    """Read a recording for ``/identify``, which takes only WAV and has a lower size limit.

    Raises what `read_upload` raises, and `UnsupportedAudio` if the content is not WAV.
    """
    limits = limits_of(request)
    limit = min(limits.max_upload_bytes, limits.max_accent_upload_bytes)
    upload = await _read_recording(request, limit + MAX_FORM_BYTES)
    upload.require_wav(limit)
    return upload


WavUpload = Annotated[Upload, Depends(read_wav)]


async def read_pair(request: Request) -> tuple[Upload, Upload]:
    """Read a form with two recordings, ``file1`` and ``file2``; raises the errors of `read_upload`."""
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes)
    first, second = (Upload(request, find_part(parts, name), fields) for name in ("file1", "file2"))
    return first, second


UploadPair = Annotated[tuple[Upload, Upload], Depends(read_pair)]


async def read_with_embedding(request: Request) -> tuple[Upload, bytes]:
    """Read a form with a recording and an ``embedding`` file; raises the errors of `read_upload`."""
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes)
    return Upload(request, find_part(parts, *FILE_FIELDS), fields), find_part(parts, "embedding").data


EmbeddingUpload = Annotated[tuple[Upload, bytes], Depends(read_with_embedding)]


async def read_batch(request: Request) -> list[Upload]:
    """Read a form with many recordings in any fields, in their order; raises the errors of `read_upload`.

    An empty recording raises nothing here, because its error belongs in its own line of the answer.
    """
    parts, fields = await read_parts(request, limits_of(request).max_upload_bytes, MAX_BATCH_FILES)
    if not parts:
        raise errors.UploadMissing("The form has no file.")
    return [Upload(request, part, fields) for part in parts]


UploadBatch = Annotated[list[Upload], Depends(read_batch)]


async def _read_recording(request: Request, limit: int) -> Upload:
    if is_form(request):
        parts, fields = await read_parts(request, limit)
        return Upload(request, find_part(parts, *FILE_FIELDS), fields)
    check_content_length(request, limit)
    data = b"".join([chunk async for chunk in read_limited(request, limit)])
    if not data:
        raise errors.EmptyAudio("The recording is empty: 0 bytes.")
    return Upload(request, Part("", "", data), {})
