"""The engines: what `auto` selects, what is refused, and that no engine changes a result."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from closeness import cosine, relative_difference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from launched import ROOT, sample_path
from small_checkpoints import small_checkpoint
from torch import Tensor, nn

from config.settings import AudioLimits, EngineOptions, Size
from pipelines.accent_xlsr import XlsrAccentClassifier
from pipelines.audio.decoding import decode
from pipelines.checkpoints import LocatedCheckpoint
from pipelines.deepfake import DeepfakeDetector
from pipelines.diarization import Diarizer
from pipelines.ecapa import Ecapa
from pipelines.engines import openvino, select
from pipelines.engines.openvino import OpenVinoNetwork
from pipelines.engines.run import Autocast
from pipelines.engines.select import Network, choose
from voxgraph.errors import CheckpointError
from voxgraph.options import ModelKey, SpeakerCount
from voxgraph.results import AccentResult, DeepfakeScore, Turn, Waveform

Checkpoints = Callable[[ModelKey], LocatedCheckpoint]
Clip = Callable[..., Waveform]
TORCH = EngineOptions(engine="torch", precision="float32")
OPENVINO = EngineOptions(engine="openvino", precision="float32")
BFLOAT16 = EngineOptions(engine="openvino", precision="bfloat16")
BFLOAT16_TOLERANCE = 1e-2
"""Distance from a decision threshold within which bfloat16 may decide differently."""
NEEDS_AVX512 = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512", reason="OpenVINO emulates bfloat16 on AVX512 only"
)
QUICK = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def emulated() -> Any:
    """Allow bfloat16 on a processor without it: OpenVINO emulates it slowly, with the same rounding."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino, "cpu_capabilities", lambda: ["FP32", "BF16"])
        yield


AMD = {"vendor_id": "AuthenticAMD", "flags": "avx512f avx512_bf16"}
INTEL = {"vendor_id": "GenuineIntel", "flags": "avx512f avx512_bf16 amx_bf16 amx_tile"}
AMX_HIDDEN = {"vendor_id": "GenuineIntel", "flags": "avx512f avx512_bf16 avx512_fp16"}
ARM = {"BogoMIPS": "50.00", "Features": "fp asimd bf16"}


def chosen(
    options: EngineOptions, network: Network = Network.ECAPA, size: Size = Size.FULL, device: str = "cpu"
) -> tuple[str, str]:
    choice = choose(options, device, network, size)
    assert choice.reason.endswith(".")
    return choice.engine, choice.precision


@pytest.mark.parametrize(
    ("capabilities", "processor", "network", "size", "expected"),
    [
        (["FP32"], AMD, Network.ECAPA, Size.FULL, ("openvino", "float32")),
        (["FP32"], AMD, Network.RESNET, Size.FULL, ("openvino", "float32")),
        (["FP32"], AMD, Network.RESNET, Size.SMALL, ("openvino", "float32")),
        (["FP32"], AMD, Network.WAV2VEC2, Size.FULL, ("torch", "float32")),
        (["FP32"], AMD, Network.ECAPA, Size.SMALL, ("torch", "float32")),
        (["FP32", "BF16"], AMD, Network.ECAPA, Size.FULL, ("openvino", "bfloat16")),
        (["FP32", "BF16"], AMD, Network.WAV2VEC2, Size.FULL, ("openvino", "bfloat16")),
        (["FP32", "BF16"], AMD, Network.WAV2VEC2, Size.SMALL, ("torch", "float32")),
        (["FP32", "BF16"], INTEL, Network.ECAPA, Size.FULL, ("openvino", "bfloat16")),
        (["FP32"], AMD, Network.CAMPPLUS, Size.STARTER, ("openvino", "float32")),
        (["FP32", "BF16"], AMD, Network.CAMPPLUS, Size.STARTER, ("openvino", "float32")),
        (["FP32", "BF16"], AMX_HIDDEN, Network.ECAPA, Size.FULL, ("openvino", "float32")),
        (["FP32", "BF16"], AMX_HIDDEN, Network.RESNET, Size.FULL, ("openvino", "float32")),
        (["FP32", "BF16"], AMX_HIDDEN, Network.WAV2VEC2, Size.FULL, ("torch", "float32")),
        (["FP32", "BF16"], ARM, Network.ECAPA, Size.FULL, ("openvino", "bfloat16")),
        (["FP32", "BF16"], {}, Network.ECAPA, Size.FULL, ("openvino", "bfloat16")),
    ],
)
def test_auto_selects_the_fastest_engine_for_the_processor(
    capabilities: list[str],
    processor: dict[str, str],
    network: Network,
    size: Size,
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino, "cpu_capabilities", lambda: capabilities)
    monkeypatch.setattr(select.processor, "read_cpuinfo", lambda: processor)

    assert chosen(EngineOptions(), network, size) == expected


def test_auto_without_openvino_selects_torch_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "openvino_is_installed", lambda: False)

    found = choose(EngineOptions(), "cpu", Network.ECAPA, Size.FULL)

    assert (found.engine, found.reason) == ("torch", "OpenVINO is not installed.")


@pytest.mark.parametrize(
    ("options", "installed", "device", "message"),
    [
        (EngineOptions(engine="openvino"), False, "cpu", "not installed"),
        (EngineOptions(precision="bfloat16"), False, "cpu", "not installed"),
        (EngineOptions(engine="openvino"), True, "cuda:0", "has cuda:0"),
        (EngineOptions(precision="float16"), True, "cpu", "for CUDA"),
        (EngineOptions(engine="torch", precision="bfloat16"), True, "cpu", "OpenVINO's"),
        (EngineOptions(precision="bfloat16"), True, "cpu", "AMX-BF16"),
    ],
)
def test_an_unavailable_engine_or_precision_is_refused(
    options: EngineOptions, installed: bool, device: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "openvino_is_installed", lambda: installed)
    monkeypatch.setattr(openvino, "cpu_capabilities", lambda: ["FP32"])

    with pytest.raises(CheckpointError, match=message):
        choose(options, device, Network.ECAPA, Size.FULL)


def test_torch_on_cuda_uses_float32_unless_another_precision_is_set() -> None:
    assert chosen(EngineOptions(), device="cuda:0") == ("torch", "float32")
    assert chosen(EngineOptions(precision="float16"), device="cuda:0") == ("torch", "float16")


def test_a_precision_that_the_runtime_does_not_apply_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(openvino.HINTS, "bfloat16", "f32")
    compiled = openvino._properties("bfloat16")
    monkeypatch.setattr(openvino, "_properties", lambda _: compiled)
    monkeypatch.setitem(openvino.HINTS, "bfloat16", "bf16")

    with pytest.raises(CheckpointError, match="computes in f32 on this processor"):
        OpenVinoNetwork(nn.Linear(4, 2).requires_grad_(False), (torch.zeros(2, 4),), ((-1, 4),), "bfloat16")


def test_openvino_sends_no_telemetry(tmp_path: Path) -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('a connection')\n"
        "socket.socket.connect = refuse\n"
        "import torch\n"
        "from pipelines.engines.openvino import OpenVinoNetwork\n"
        "network = torch.nn.Linear(4, 2).requires_grad_(False)\n"
        "OpenVinoNetwork(network, (torch.zeros(2, 4),), ((-1, 4),), 'float32')\n"
        "assert not sys.modules['openvino_telemetry']\n"
    )
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=300)

    assert not any(tmp_path.iterdir())


def test_the_pipelines_do_not_import_openvino_before_it_is_chosen() -> None:
    code = (
        "import sys, pipelines.speaker, pipelines.deepfake, pipelines.engines.select\n"
        "assert 'openvino' not in sys.modules"
    )

    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True, timeout=300)


def test_autocast_returns_float32() -> None:
    network = nn.Linear(16, 4).eval().requires_grad_(False)
    clip = torch.randn(2, 16)

    found = Autocast(network, torch.bfloat16)(clip)

    assert found.dtype is torch.float32
    assert 0 < relative_difference(found, network(clip)) < BFLOAT16_TOLERANCE


def probabilities(result: AccentResult | DeepfakeScore) -> list[float]:
    if isinstance(result, DeepfakeScore):
        return [result.ai_generated, result.real]
    return list(result.probabilities.values())


CLASSIFIERS = [(ModelKey.ACCENT_XLSR, XlsrAccentClassifier), (ModelKey.DEEPFAKE, DeepfakeDetector)]
LENGTHS = st.lists(st.integers(400, 4_000) | st.integers(1_600, 480_000), min_size=1, max_size=3)


@pytest.mark.parametrize(("model", "pipeline"), CLASSIFIERS)
def test_wav2vec2_gives_the_same_result_on_both_engines_in_any_batch(
    model: ModelKey, pipeline: Any, small: Checkpoints, clip: Clip
) -> None:
    reference, tested = (pipeline(small(model), "cpu", options) for options in (TORCH, OPENVINO))

    @QUICK
    @given(LENGTHS)
    def check(lengths: list[int]) -> None:
        clips = [clip(samples, seed) for seed, samples in enumerate(lengths)]
        for waveform, found in zip(clips, tested(clips), strict=True):
            (expected,) = reference([waveform])
            assert relative_difference(probabilities(found), probabilities(expected)) <= 1e-4

    # The first shape has a single frame: its compiled kernel must not be used for longer clips.
    first = tested([clip(400)])[0]
    assert relative_difference(probabilities(first), probabilities(reference([clip(400)])[0])) <= 1e-4
    check()


def test_full_size_wav2vec2_gives_the_same_result_on_both_engines(full: Checkpoints, clip: Clip) -> None:
    checkpoint = full(ModelKey.DEEPFAKE)
    clips = [clip(16_000), clip(5_000, 1), clip(16_000, 2)]
    reference, tested = (DeepfakeDetector(checkpoint, "cpu", options) for options in (TORCH, OPENVINO))

    assert (tested.info.engine, tested.info.precision) == ("openvino", "float32")
    for waveform, found in zip(clips, tested(clips), strict=True):
        (expected,) = reference([waveform])
        assert relative_difference(probabilities(found), probabilities(expected)) <= 1e-4


@NEEDS_AVX512
def test_ecapa_embeddings_in_bfloat16_match_float32(emulated: None, small: Checkpoints, clip: Clip) -> None:
    checkpoint = small(ModelKey.SPEAKER_VOXCELEB)
    reference, tested = (Ecapa(checkpoint, "cpu", options) for options in (TORCH, BFLOAT16))
    assert tested.choice.precision == "bfloat16"

    @QUICK
    @given(st.lists(st.integers(640, 4_000) | st.integers(1_600, 100_000), min_size=1, max_size=4))
    def check(lengths: list[int]) -> None:
        clips = [clip(samples, seed) for seed, samples in enumerate(lengths)]
        for waveform, found in zip(clips, tested.embed(clips), strict=True):
            assert cosine(found, reference.embed([waveform])[0]) >= 0.9999

    check()
    # Clips of five frames lose too much in bfloat16, so they run in float32.
    for waveform, found in zip(
        [clip(640), clip(700, 1)], tested.embed([clip(640), clip(700, 1)]), strict=True
    ):
        assert cosine(found, reference.embed([waveform])[0]) >= 0.99999


@NEEDS_AVX512
@pytest.mark.parametrize(("model", "pipeline"), CLASSIFIERS)
def test_wav2vec2_in_bfloat16_makes_the_same_decisions_as_float32(
    model: ModelKey, pipeline: Any, emulated: None, small: Checkpoints, clip: Clip
) -> None:
    reference, tested = (pipeline(small(model), "cpu", options) for options in (TORCH, BFLOAT16))

    @QUICK
    @given(st.lists(st.integers(400, 4_000) | st.integers(1_600, 80_000), min_size=1, max_size=3))
    def check(lengths: list[int]) -> None:
        clips = [clip(samples, seed) for seed, samples in enumerate(lengths)]
        for found, expected in zip(tested(clips), reference(clips), strict=True):
            assert same_decision(probabilities(found), probabilities(expected))

    check()


def same_decision(found: list[float], expected: list[float]) -> bool:
    """Whether the best class is the same, or the two best were so close that it may change."""
    best, second = sorted(expected)[:-3:-1]
    return (best - second) / 2 <= BFLOAT16_TOLERANCE or int(np.argmax(found)) == int(np.argmax(expected))


@pytest.fixture(scope="module")
def conversation() -> Waveform:
    return decode(sample_path().read_bytes(), AudioLimits())


def diarized(conversation: Waveform, options: EngineOptions) -> tuple[Turn, ...]:
    diarizer = Diarizer(small_checkpoint(ModelKey.DIARIZATION_COMMUNITY_1), "cpu", options)
    assert diarizer.info.precision == options.precision
    return diarizer(conversation, SpeakerCount()).turns


def test_the_turns_are_the_same_on_both_engines(conversation: Waveform) -> None:
    found = diarized(conversation, OPENVINO)

    assert len(found) > 1
    assert found == diarized(conversation, TORCH)


@NEEDS_AVX512
def test_the_turns_in_bfloat16_differ_by_half_a_percent_at_most(
    emulated: None, conversation: Waveform
) -> None:
    found, expected = diarized(conversation, BFLOAT16), diarized(conversation, TORCH)

    frames = np.arange(0, 30, 0.01)
    wrong = sum(talking(found, frame) != talking(expected, frame) for frame in frames)
    spoken = sum(len(talking(expected, frame)) for frame in frames)
    assert wrong <= 0.005 * spoken


def talking(turns: tuple[Turn, ...], second: float) -> set[str]:
    return {turn.speaker for turn in turns if turn.start_s <= second < turn.end_s}


def test_a_network_with_two_inputs_accepts_any_shapes() -> None:
    class Scaled(nn.Module):
        def forward(self, x: Tensor, factors: Tensor) -> Tensor:
            return x * factors[:, None]

    engine = OpenVinoNetwork(
        Scaled(), (torch.zeros(2, 3), torch.tensor([1, 2])), ((-1, -1), (-1,)), "float32"
    )

    for shape in ((1, 1), (4, 7), (2, 3)):
        x, factors = torch.randn(shape), torch.arange(shape[0])
        assert torch.equal(engine(x, factors), x * factors[:, None])
