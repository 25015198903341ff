"""Which engine `auto` gives Whisper."""

import pytest

from config.settings import EngineOptions, Size
from pipelines.engines import openvino, select
from pipelines.engines.select import Network, choose

AMD = {"vendor_id": "AuthenticAMD", "flags": "avx512f avx512_bf16"}
AMX_HIDDEN = {"vendor_id": "GenuineIntel", "flags": "avx512f avx512_bf16 avx512_fp16"}


@pytest.mark.parametrize("size", [Size.FULL, Size.STARTER])
@pytest.mark.parametrize(
    ("capabilities", "processor", "expected", "reason"),
    [
        (["FP32", "BF16"], AMD, ("openvino", "bfloat16"), "computes bfloat16 faster than float32"),
        (["FP32", "BF16"], AMX_HIDDEN, ("torch", "float32"), "in float32 OpenVINO runs Whisper hardly"),
        (["FP32"], AMD, ("torch", "float32"), "does not support bfloat16"),
    ],
)
def test_auto_takes_openvino_where_bfloat16_pays(
    size: Size,
    capabilities: list[str],
    processor: dict[str, str],
    expected: tuple[str, str],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino, "cpu_capabilities", lambda: capabilities)
    monkeypatch.setattr(select.processor, "read_cpuinfo", lambda: processor)

    found = choose(EngineOptions(), "cpu", Network.WHISPER, size)

    assert (found.engine, found.precision) == expected
    assert reason in found.reason


def test_auto_leaves_a_small_whisper_to_torch() -> None:
    assert choose(EngineOptions(), "cpu", Network.WHISPER, Size.SMALL).engine == "torch"
