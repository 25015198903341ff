"""Measure every pipeline on CUDA by batch size, against the device's ceilings: ``python -m benchmarks.gpu``.

TFLOP/s count matrix products, convolutions and attention, not recurrent layers. GB/s count what every
operation reads and writes, assuming no cache hits. The ceilings are a large matrix product and a large copy.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bare import load_pipeline
from benchmarks.checkpoints import ensure_checkpoint
from benchmarks.recordings import clip
from config.settings import Size
from voxgraph.options import ModelKey, SpeakerCount

FOLDER = Path(__file__).parents[1] / "build" / "benchmarks" / "full"
DEVICE = "cuda:0"
SECONDS = {
    ModelKey.LANGUAGE: 3.0,
    ModelKey.SPEAKER_VOXCELEB: 3.0,
    ModelKey.ACCENT_XLSR: 6.0,
    ModelKey.DEEPFAKE: 5.0,
    ModelKey.DIARIZATION_COMMUNITY_1: 300.0,
}
"""Seconds of one clip for each model."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SIDE, BYTES = 8192, 1 << 30
"""Side of the square matrices, and bytes of the copy."""


class ByteCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the bytes that operations read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.bytes += sum(tensor.nbytes for tensor in tensors_in((args, kwargs, result)))
        return result


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield all tensors of nested containers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def seconds_of(run: Callable[[], object], repeats: int) -> float:
    """Return the seconds of the fastest run, synchronised with the device."""
    best = float("inf")
    for _ in range(repeats):
        torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return best


@contextmanager
def no_tf32() -> Iterator[None]:
    """Disable TF32 products in a block, as the pipelines do."""
    products = torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, False
    try:
        yield
    finally:
        products.allow_tf32 = before


def ceilings(precision: str) -> tuple[float, float]:
    """Measure the TFLOP/s of a large matrix product and the GB/s of a large copy."""
    matrix = torch.randn(SIDE, SIDE, device=DEVICE, dtype=DTYPES[precision])
    with no_tf32():
        product = seconds_of(lambda: matrix @ matrix, 10)
    source = torch.empty(BYTES, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    copy = seconds_of(lambda: target.copy_(source), 10)
    return 2 * SIDE**3 / product / 1e12, 2 * BYTES / copy / 1e9


def runner(key: ModelKey, precision: str, batch: int) -> Callable[[], object]:
    """Return a function that calls the pipeline on a batch of clips."""
    ensure_checkpoint(key, Size.FULL, FOLDER)
    pipeline = load_pipeline(key, FOLDER, Size.FULL, DEVICE, precision)
    clips = [clip(SECONDS[key]) for _ in range(batch)]
    if key is ModelKey.DIARIZATION_COMMUNITY_1:
        return lambda: [pipeline(waveform, SpeakerCount()) for waveform in clips]
    return lambda: pipeline(clips)


def row(key: ModelKey, precision: str, batch: int, peak: tuple[float, float]) -> str:
    """Measure one model, precision and batch size; return its line of the table."""
    run = runner(key, precision, batch)
    run()
    with ByteCounter() as moved:
        run()
    with FlopCounterMode(display=False) as counted:
        run()
    seconds = seconds_of(run, 5)
    tflops, gb = counted.get_total_flops() / seconds / 1e12, moved.bytes / seconds / 1e9
    return (
        f"{key:24}{precision:10}{batch:6}{1e3 * seconds:10.2f}{batch * SECONDS[key] / seconds:12.0f}"
        f"{tflops:10.1f}{tflops / peak[0]:7.0%}{gb:9.0f}{gb / peak[1]:7.0%}"
    )


def main() -> int:
    """Print the table; return 1 if there is no CUDA device."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--model", type=ModelKey, choices=list(SECONDS), nargs="+", default=list(SECONDS))
    parser.add_argument("--precision", choices=list(DTYPES), nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16, 64])
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("No CUDA device found: nothing to measure.", file=sys.stderr)
        return 1
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    for precision in options.precision:
        peak = ceilings(precision)
        print(f"\nceilings in {precision}: {peak[0]:.1f} TFLOP/s, {peak[1]:.0f} GB/s")
        print(
            f"{'model':24}{'precision':10}{'batch':>6}{'ms':>10}{'audio s/s':>12}"
            f"{'TFLOP/s':>10}{'':7}{'GB/s':>9}"
        )
        for key in options.model:
            batches = [1] if key is ModelKey.DIARIZATION_COMMUNITY_1 else options.batch
            for batch in batches:
                print(row(key, precision, batch, peak), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
