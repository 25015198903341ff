"""Which models are asked about a voice, without a cluster."""

from typing import Any

import numpy as np
import pytest

from config.settings import IngressTunables
from deployments.transport.clips import Clip
from deployments.voices import Voices, allow_list, check_encoder
from voxgraph.calls import Deadline
from voxgraph.errors import InvalidOptions
from voxgraph.options import ModelKey
from voxgraph.results import Embedding, LanguageResult, ModelInfo

LANGUAGE = LanguageResult("ko", "Korean", 0.5, {"ko": 0.5, "ja": 0.2, "en": 0.3})
CLIP = Clip(np.zeros(16_000, np.float32))


class Infos:
    """What a language model of three languages has loaded."""

    async def get(self, model: ModelKey) -> ModelInfo:
        assert model is ModelKey.LANGUAGE
        labels = ("ko: Korean", "ja: Japanese", "en: English")
        return ModelInfo(model, "a/b", "abc", "hub", "cpu", 1, labels)


class Models:
    """Answers as models do, and records which were asked."""

    def __init__(self, **tunables: float) -> None:
        self.asked: list[ModelKey] = []
        infos: Any = Infos()
        settings = IngressTunables.model_validate(tunables)
        self.voices = Voices(self.ask, infos, lambda: settings)

    async def ask(self, model: ModelKey, clip: Clip, deadline: Deadline) -> Any:
        self.asked.append(model)
        return LANGUAGE if model is ModelKey.LANGUAGE else Embedding(np.ones(192, np.float32), model, "abc")


def soon() -> Deadline:
    return Deadline.after(10.0)


@pytest.mark.parametrize(("minimum", "encoder"), [(0.7, "speaker_cnceleb"), (0.71, "speaker_voxceleb")])
async def test_the_setting_decides_from_which_sum_cnceleb_embeds(minimum: float, encoder: str) -> None:
    models = Models(cnceleb_min_probability=minimum)

    result = await models.voices.voice(CLIP, soon())

    assert models.asked == ["language", encoder]
    assert result.language == LANGUAGE


async def test_a_named_encoder_is_asked_alone() -> None:
    models = Models()

    result = await models.voices.voice(CLIP, soon(), ModelKey.SPEAKER_CNCELEB)

    assert models.asked == [ModelKey.SPEAKER_CNCELEB]
    assert (result.language, result.embedding.model) == (None, "speaker_cnceleb")


async def test_the_allowed_languages_decide_the_encoder() -> None:
    models = Models()

    result = await models.voices.voice(CLIP, soon(), None, ("ja", "ko"))

    assert models.asked == [ModelKey.LANGUAGE, ModelKey.SPEAKER_CNCELEB]
    assert result.language is not None
    assert result.language.probabilities == pytest.approx({"ja": 2 / 7, "ko": 5 / 7})


async def test_an_unknown_language_is_refused_before_a_model_is_asked() -> None:
    models = Models()

    with pytest.raises(InvalidOptions, match="'xx'"):
        await models.voices.language(CLIP, soon(), ("en", "xx"))
    assert models.asked == []


@pytest.mark.parametrize(
    ("tasks", "encoder", "asked"),
    [
        (("language", "speaker"), None, ["language", "speaker_voxceleb"]),
        (("language", "speaker"), ModelKey.SPEAKER_CNCELEB, ["language", "speaker_cnceleb"]),
        (("speaker",), ModelKey.SPEAKER_CNCELEB, ["speaker_cnceleb"]),
        (("speaker",), None, ["language", "speaker_voxceleb"]),
        (("language", "accent"), None, ["language"]),
        (("accent",), None, []),
    ],
)
async def test_an_analysis_asks_each_model_once(
    tasks: Any, encoder: ModelKey | None, asked: list[str]
) -> None:
    models = Models()

    answers = await models.voices.language_and_voice(CLIP, soon(), tasks, encoder, ())

    assert models.asked == asked
    assert {*answers} == {"language", "speaker"} & {*tasks}


def test_equal_lists_of_languages_have_one_key() -> None:
    assert allow_list(("zh", "en", "zh")) == allow_list(["en", "zh"]) == ("en", "zh")


def test_only_speaker_encoders_embed() -> None:
    check_encoder(None)
    check_encoder(ModelKey.SPEAKER_VOXCELEB)
    with pytest.raises(InvalidOptions, match="language is not a speaker encoder"):
        check_encoder(ModelKey.LANGUAGE)
