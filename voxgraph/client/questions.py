"""The questions that can be asked over HTTP: which request each of them is, and how its answer is read.

Pure functions: `voxgraph.client.http` sends the requests. Options that are None, empty or False are left out
of the request, so that the server's defaults apply. A `Recording` is a path, bytes, a binary file or
``(array, sample rate)``; `channel` is the channel to take, counted from 0, instead of a mix of all. A
recording in which nobody speaks raises `NoSpeech` unless `allow_no_speech` is given.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from voxgraph.client import answers, events
from voxgraph.client.recordings import Recording
from voxgraph.options import DEADLINE_S, DIARIZATION_DEADLINE_S, TASKS, ModelKey, Task
from voxgraph.results import (
    AccentResult,
    Analysis,
    DeepfakeVerdict,
    DiarizationResult,
    Embedding,
    GraphHealth,
    LanguageResult,
    Match,
    ModelInfo,
    SpeakerResult,
    StoredVoice,
)
from voxgraph.similarity import VoiceComparison

T = TypeVar("T")
Other = TypeVar("Other")
P = ParamSpec("P")

Encoder = Literal["voxceleb", "cnceleb"]
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Question(Generic[T]):
    """One request and how to read its answer; of a stream, how to read each of its lines."""

    path: str
    parse: Callable[[Any], T]
    """Reads the JSON of the answer, or of one line."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The query."""
    files: Sequence[tuple[str, Recording]] = ()
    """Recordings by form field."""
    json: Any = None
    """A body of JSON."""
    timeout_s: float = DEADLINE_S
    method: str = "POST"
    accept: str = "application/json"
    readable_errors: frozenset[int] = frozenset()
    """Statuses of errors whose body is an answer."""
    once: bool = False
    """Whether the answer to a second request would be another one, such as that nobody is there to be erased:
    it is not sent again after an error that leaves open whether it was done."""

    def reading(self, parse: "Callable[[Any], Other]") -> "Question[Other]":
        """Return the same question with its answer read in another way."""
        return replace(self, parse=parse)  # type: ignore[arg-type, return-value]

    def as_json(self) -> "Question[Any]":
        """Return the same question whose answer is the server's JSON, unchanged."""
        return self.reading(lambda answer: answer)


def detect_language(
    recording: Recording,
    *,
    languages: Sequence[str] = (),
    channel: int | None = None,
    allow_no_speech: bool = False,
    timeout_s: float = DEADLINE_S,
) -> Question[LanguageResult]:
    """Detect which language is spoken; `languages` are the codes of the allowed ones, empty: all.

    The answer has the probabilities of the most probable languages only.
    """
    options = options_of(languages=languages, channel=channel, allow_no_speech=_text(allow_no_speech))
    return Question("/detect-language", answers.language, options, _file(recording), timeout_s=timeout_s)


def embed(
    recording: Recording,
    *,
    encoder: Encoder | None = None,
    languages: Sequence[str] = (),
    channel: int | None = None,
    allow_no_speech: bool = False,
    timeout_s: float = DEADLINE_S,
) -> Question[SpeakerResult]:
    """Embed the voice; the language, among `languages`, decides the encoder unless one is named.

    Of the language, the answer has the code and the probability.
    """
    options = options_of(
        encoder=encoder, languages=languages, channel=channel, allow_no_speech=_text(allow_no_speech)
    )
    return Question("/extract-embedding", answers.speaker, options, _file(recording), timeout_s=timeout_s)


def compare(
    first: Recording,
    second: Recording,
    *,
    threshold: float | None = None,
    encoder: Encoder | None = None,
    languages: Sequence[str] = (),
    channel: int | None = None,
    allow_no_speech: bool = False,
    timeout_s: float = DEADLINE_S,
) -> Question[VoiceComparison]:
    """Compare the speakers of two recordings; one encoder embeds both.

    `threshold` is the cosine similarity above which they are one speaker; None: that of the calibration.
    """
    options = options_of(
        threshold=threshold,
        encoder=encoder,
        languages=languages,
        channel=channel,
        allow_no_speech=_text(allow_no_speech),
    )
    files = (("file1", first), ("file2", second))
    return Question("/v1/speaker/compare", answers.comparison, options, files, timeout_s=timeout_s)


def identify_accent(
    recording: Recording,
    *,
    channel: int | None = None,
    allow_no_speech: bool = False,
    timeout_s: float = DEADLINE_S,
) -> Question[AccentResult]:
    """Identify the accent of spoken English."""
    question = analyze(
        recording, tasks=("accent",), channel=channel, allow_no_speech=allow_no_speech, timeout_s=timeout_s
    )
    return question.reading(lambda answer: answers.of_task(answer, "accent"))


def diarize(
    recording: Recording,
    *,
    num_speakers: int | None = None,
    min_speakers: int | None = None,
    max_speakers: int | None = None,
    min_duration: float | None = None,
    exclusive: bool = False,
    embeddings: bool = False,
    frames: bool = False,
    channels: Literal["mix", "separate"] | None = None,
    gallery: str | None = None,
    purpose: str | None = None,
    channel: int | None = None,
    timeout_s: float = DIARIZATION_DEADLINE_S,
) -> Question[DiarizationResult]:
    """Find who speaks when; turns shorter than `min_duration` seconds are left out.

    With `exclusive`, the turns do not overlap. `embeddings` and `frames` add those of the speakers. With
    ``channels="separate"`` each channel is one speaker. `gallery` names the speakers whom it knows, of those
    who consented to the `purpose`; `identities` says what was decided about each voice.
    """
    options = options_of(
        num_speakers=num_speakers,
        min_speakers=min_speakers,
        max_speakers=max_speakers,
        min_duration=min_duration,
        exclusive=exclusive,
        embeddings=embeddings,
        frames=frames,
        channels=channels,
        gallery=gallery,
        purpose=purpose,
        channel=channel,
    )
    return Question("/diarize", answers.diarization, options, _file(recording), timeout_s=timeout_s)


def detect_deepfake(
    recording: Recording,
    *,
    chunk_duration: float | None = None,
    overlap: float | None = None,
    channel: int | None = None,
    allow_no_speech: bool = False,
    timeout_s: float = DEADLINE_S,
) -> Question[DeepfakeVerdict]:
    """Detect which overlapping chunks, of `chunk_duration` seconds, are AI-generated."""
    options = options_of(
        chunk_duration=chunk_duration,
        overlap=overlap,
        channel=channel,
        allow_no_speech=_text(allow_no_speech),
    )
    return Question("/audio/analyze-audio", answers.deepfake, options, _file(recording), timeout_s=timeout_s)


def analyze(
    recording: Recording,
    *,
    tasks: Sequence[Task] = TASKS,
    num_speakers: int | None = None,
    min_speakers: int | None = None,
    max_speakers: int | None = None,
    exclusive: bool = False,
    embeddings: bool = False,
    frames: bool = False,
    gallery: str | None = None,
    purpose: str | None = None,
    chunk_duration: float | None = None,
    overlap: float | None = None,
    encoder: Encoder | None = None,
    languages: Sequence[str] = (),
    channel: int | None = None,
    allow_no_speech: bool = False,
    timeout_s: float = DIARIZATION_DEADLINE_S,
) -> Question[Analysis]:
    """Answer several questions about one recording, side by side; `gallery` and `purpose` as in `diarize`."""
    options = options_of(
        tasks=tasks,
        num_speakers=num_speakers,
        min_speakers=min_speakers,
        max_speakers=max_speakers,
        exclusive=exclusive,
        embeddings=embeddings,
        frames=frames,
        gallery=gallery,
        purpose=purpose,
        chunk_duration=chunk_duration,
        overlap=overlap,
        encoder=encoder,
        languages=languages,
        channel=channel,
        allow_no_speech=_text(allow_no_speech),
    )
    return Question("/v1/analyze", answers.analysis, options, _file(recording), timeout_s=timeout_s)


def compare_embedding(
    recording: Recording,
    embedding: Embedding,
    *,
    threshold: float | None = None,
    languages: Sequence[str] = (),
    channel: int | None = None,
    allow_no_speech: bool = False,
    timeout_s: float = DEADLINE_S,
) -> Question[VoiceComparison]:
    """Compare the speaker of a recording with a stored embedding, by the encoder of the embedding."""
    options = options_of(
        threshold=threshold, languages=languages, channel=channel, allow_no_speech=_text(allow_no_speech)
    )
    files = (("audio", recording), ("embedding", answers.embedding_file(embedding)))
    return Question("/compare_embedding", answers.comparison, options, files, timeout_s=timeout_s)


def find_match(
    voice: Embedding,
    gallery: Iterable[StoredVoice],
    *,
    top_n: int | None = None,
    threshold: float | None = None,
    timeout_s: float = DEADLINE_S,
) -> Question[list[Match]]:
    """Find the stored voices most similar to a voice, at most `top_n`, best first."""
    body = answers.search_body(voice, gallery) | {"top_n": top_n, "threshold": threshold}
    body = {name: value for name, value in body.items() if value is not None}
    return Question("/find-match", answers.matches, json=body, timeout_s=timeout_s)


def _for_many(
    build: Callable[Concatenate[Recording, P], Question[Analysis]],
) -> Callable[Concatenate[Iterable[Recording], P], Question[events.BatchAnswer]]:
    def analyze_many(
        recordings: Iterable[Recording], /, *args: P.args, **kwargs: P.kwargs
    ) -> Question[events.BatchAnswer]:
        """Answer several questions about each of at most 256 recordings, sent in one request.

        The answers come in the order in which they are ready; a recording without an answer has its error.
        """
        files = [("file", recording) for recording in recordings]
        asked = replace(build(b"", *args, **kwargs), path="/v1/batch", files=files, accept=NDJSON)
        return asked.reading(events.batch_line)

    recording, *options = inspect.signature(build).parameters.values()
    analyze_many.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [recording.replace(name="recordings"), *options]
    )
    return analyze_many


def _with_events(build: Callable[P, Question[Any]]) -> Callable[P, Question[events.Event]]:
    @functools.wraps(build)
    def streamed(*args: P.args, **kwargs: P.kwargs) -> Question[events.Event]:
        return replace(build(*args, **kwargs), accept=NDJSON).reading(events.event)

    streamed.__doc__ = f"{build.__doc__}\n\nThe answer is streamed: progress, and each task when it is ready."
    return streamed


analyze_many = _for_many(analyze)
analyze_events = _with_events(analyze)
diarize_events = _with_events(diarize)


def health(*, timeout_s: float = DEADLINE_S) -> Question[GraphHealth]:
    """Return which models answer, where they run and which checkpoints they have loaded."""
    return Question(
        "/health", answers.health, timeout_s=timeout_s, method="GET", readable_errors=frozenset({503})
    )


def info(model: ModelKey | str, *, timeout_s: float = DEADLINE_S) -> Question[ModelInfo]:
    """Return what a model has loaded and where it runs; raise `ModelUnavailable` if it does not answer."""
    return health(timeout_s=timeout_s).reading(lambda answer: answers.model(answer, str(model)))


def _file(recording: Recording) -> tuple[tuple[str, Recording]]:
    return (("file", recording),)


def options_of(**given: Any) -> dict[str, str]:
    """Return the query of the options that are given."""
    return {name: _text(value) for name, value in given.items() if _is_given(value)}


def _is_given(value: Any) -> bool:
    return not (value is None or value is False or (isinstance(value, Sequence) and not value))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
