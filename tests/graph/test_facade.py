"""The typed handles of voxgraph on the running graph."""

import asyncio
from collections.abc import Iterator

import pytest
from launched import ROOT, Launched

from config.settings import AudioLimits
from pipelines.audio.decoding import decode
from voxgraph.errors import InvalidOptions
from voxgraph.handles import AsyncVoxgraph, Voxgraph
from voxgraph.options import ModelKey
from voxgraph.results import Waveform


@pytest.fixture(scope="module")
def voxgraph(service: Launched) -> Iterator[Voxgraph]:
    with service.driver():
        yield Voxgraph.connect()


@pytest.fixture(scope="module")
def clip() -> Waveform:
    return decode((ROOT / "tests" / "data" / "voice.wav").read_bytes(), AudioLimits())


def test_results_have_the_annotated_types(voxgraph: Voxgraph, clip: Waveform) -> None:
    everything = voxgraph.analyze(clip, ("language", "speaker"))

    assert everything.language == voxgraph.detect_language(clip)
    assert everything.speaker is not None
    assert everything.speaker.embedding.vector.shape == (192,)
    assert voxgraph.identify_accent(clip, "ecapa").accent
    assert voxgraph.info(ModelKey.LANGUAGE).source == "local"
    assert len(voxgraph.embed_pair(clip, clip)) == 2


def test_coroutines_call_concurrently(voxgraph: Voxgraph, clip: Waveform) -> None:
    clips = [clip[: 16_000 * seconds] for seconds in (1, 2, 3)]

    async def ask() -> list[str]:
        graph = AsyncVoxgraph.connect()
        answers = await asyncio.gather(*(graph.detect_language(each) for each in clips))
        return [answer.language for answer in answers]

    assert asyncio.run(ask()) == [voxgraph.detect_language(each).language for each in clips]


def test_an_error_of_the_graph_is_raised_as_its_own_type(voxgraph: Voxgraph, clip: Waveform) -> None:
    with pytest.raises(InvalidOptions, match="karaoke"):
        voxgraph.analyze(clip, ("karaoke",))  # type: ignore[arg-type]
