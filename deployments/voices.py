"""Language and voice of a recording: which models are asked, which of their answers are allowed. No Ray."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from config.settings import IngressTunables
from deployments.transport.concurrency import gather_or_cancel
from pipelines.allow_list import allowed_names, language_names
from pipelines.routing import ENCODERS, encoder_of
from voxgraph.errors import InvalidOptions
from voxgraph.options import TASKS, ModelKey, Task
from voxgraph.results import LanguageResult, ModelInfo, SpeakerResult

Languages = tuple[str, ...]
"""Codes of the allowed languages; empty: all that the model knows."""
Clip = TypeVar("Clip")
"""A recording, as the models are asked about it."""
Deadline = TypeVar("Deadline")


class Infos(Protocol):
    """What each model has loaded."""

    async def get(self, model: ModelKey) -> ModelInfo:
        """Return what a model has loaded, or raise why it has not."""
        ...


class Voices(Generic[Clip, Deadline]):
    """Detects languages and embeds voices.

    Args:
        ask: Calls a model about a recording.
        infos: What each model has loaded.
        tunables: Returns the tunables that are valid now.
    """

    def __init__(
        self,
        ask: Callable[[ModelKey, Clip, Deadline], Awaitable[Any]],
        infos: Infos,
        tunables: Callable[[], IngressTunables],
    ) -> None:
        self._ask = ask
        self._infos = infos
        self._tunables = tunables

    async def language(self, clip: Clip, deadline: Deadline, languages: Languages = ()) -> LanguageResult:
        """Detect the language, among all or among the given ones.

        Raises:
            InvalidOptions: The model does not know one of `languages`.
        """
        if not languages:
            found: LanguageResult = await self._ask(ModelKey.LANGUAGE, clip, deadline)
            return found
        names = await self._names(languages)
        found = await self._ask(ModelKey.LANGUAGE, clip, deadline)
        return found.among(names)

    async def voice(
        self, clip: Clip, deadline: Deadline, encoder: ModelKey | None = None, languages: Languages = ()
    ) -> SpeakerResult:
        """Embed the voice by the named encoder, or else by that of the language."""
        if encoder is None:
            return await self.voice_in(await self.language(clip, deadline, languages), clip, deadline)
        return SpeakerResult(await self._ask(encoder, clip, deadline), None)

    async def voice_in(self, language: LanguageResult, clip: Clip, deadline: Deadline) -> SpeakerResult:
        """Embed the voice by the encoder of a language that was detected in the recording."""
        encoder = encoder_of(language, self._tunables().cnceleb_min_probability)
        return SpeakerResult(await self._ask(encoder, clip, deadline), language)

    async def check_languages(self, languages: Languages) -> None:
        """Raise `InvalidOptions` if the model does not know one of the languages, as `language` does."""
        if languages:
            await self._names(languages)

    async def _names(self, languages: Languages) -> dict[str, str]:
        """Return the English name of each language by code; raise `InvalidOptions` for an unknown one."""
        labels = (await self._infos.get(ModelKey.LANGUAGE)).labels
        return allowed_names(languages, language_names(labels))

    async def language_and_voice(
        self,
        clip: Clip,
        deadline: Deadline,
        tasks: tuple[Task, ...],
        encoder: ModelKey | None,
        languages: Languages,
    ) -> dict[str, Any]:
        """Answer the tasks language and speaker, if requested, by name; the language is detected once."""
        requested = {"language", "speaker"} & {*tasks}
        if requested == {"speaker"}:
            return {"speaker": await self.voice(clip, deadline, encoder, languages)}
        if requested == {"language"}:
            return {"language": await self.language(clip, deadline, languages)}
        if not requested:
            return {}
        if encoder is not None:
            language, voice = await gather_or_cancel(
                self.language(clip, deadline, languages), self.voice(clip, deadline, encoder)
            )
            return {"language": language, "speaker": voice}
        language = await self.language(clip, deadline, languages)
        return {"language": language, "speaker": await self.voice_in(language, clip, deadline)}


def allow_list(languages: Sequence[str]) -> Languages:
    """Return the codes without repetitions, in one order, so that equal lists have one cache key."""
    return tuple(sorted({*languages}))


def check_encoder(encoder: ModelKey | None) -> None:
    """Raise `InvalidOptions` if a named model is not one of the speaker encoders."""
    if encoder is not None and encoder not in ENCODERS:
        raise InvalidOptions(f"{encoder} is not a speaker encoder; these are {', '.join(ENCODERS)}.")


def check_tasks(tasks: Sequence[Task]) -> None:
    """Raise `InvalidOptions` if there are no tasks, or one is not in `TASKS`."""
    if not tasks or (unknown := set(tasks) - set(TASKS)):
        raise InvalidOptions(f"tasks are {', '.join(TASKS)}; got {sorted(unknown) if tasks else 'none'}.")
