"""Compare the engines on this machine: ``python -m benchmarks.engines``.

Writes full-size checkpoints with random weights to a temporary folder. The engines of each network take turns
within one run, so that any disturbance of the machine affects all of them; the table shows medians.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.checkpoints import ensure_checkpoint
from benchmarks.report import cpu_name
from config.checkpoint_types import CamPlusPlusArchitecture, DiarizationArchitecture, EcapaArchitecture
from config.settings import CheckpointSource, Size
from pipelines.accent_xlsr import BACKBONE_PREFIX as XLSR_PREFIX
from pipelines.campplus_network import CamPlusPlusNetwork
from pipelines.checkpoints import LocatedCheckpoint, load_state, load_tensors, locate
from pipelines.deepfake import SequenceClassifier, rename_tensors
from pipelines.diarization.networks import (
    N_MELS,
    ResNetFrames,
    build_embedding,
    build_segmentation,
    load_lightning,
)
from pipelines.ecapa import HOP_SAMPLES, build_encoder
from pipelines.ecapa_network import EcapaNetwork
from pipelines.engines import Precision
from pipelines.engines.openvino import OpenVinoNetwork, cpu_capabilities
from pipelines.kaldi_fbank import frames_of
from pipelines.wav2vec2 import (
    LastHiddenState,
    build_backbone,
    from_transformers,
    wav2vec2_architecture,
)
from voxgraph.options import ModelKey
from voxgraph.results import SAMPLE_RATE_HZ

WINDOW_FRAMES = 998
"""Frames of a diarization window of 10 s."""

Checkpoints = Callable[[ModelKey], LocatedCheckpoint]


@dataclass(frozen=True, slots=True)
class Workload:
    """A network and the inputs that it is measured on."""

    network: Callable[..., Tensor]
    examples: tuple[Tensor, ...]
    shapes: tuple[tuple[int, ...], ...]
    inputs: Mapping[str, tuple[Tensor, ...]]
    """Input tensors by the name of the table's row."""


def ecapa(checkpoints: Checkpoints) -> Workload:
    """Return the ECAPA encoder with clips of 3 s."""
    checkpoint = checkpoints(ModelKey.SPEAKER_VOXCELEB)
    architecture = checkpoint.architecture
    assert isinstance(architecture, EcapaArchitecture)
    encoder = build_encoder(architecture)
    load_state(encoder, load_tensors(checkpoint.file("embedding_model.ckpt")), "ECAPA")
    mels, frames = architecture.n_mels, 3 * SAMPLE_RATE_HZ // HOP_SAMPLES + 1
    return Workload(
        EcapaNetwork(encoder),
        (torch.zeros(2, 50, mels), torch.tensor([50, 40])),
        ((-1, -1, mels), (-1,)),
        {
            f"ECAPA 3 s x {batch}": (torch.randn(batch, frames, mels), torch.full((batch,), frames))
            for batch in (1, 8)
        },
    )


def campplus(_: Checkpoints) -> Workload:
    """Return CAM++, the speaker encoder of the starter checkpoints, with clips of 3 s and 10 s."""
    architecture = CamPlusPlusArchitecture()
    mels = architecture.n_mels
    inputs = {}
    for seconds, batch in ((3, 1), (3, 8), (10, 1)):
        frames = frames_of(seconds * SAMPLE_RATE_HZ)
        features = torch.randn(batch, frames, mels)
        inputs[f"CAM++ {seconds} s x {batch}"] = features, torch.full((batch,), frames)
    return Workload(
        CamPlusPlusNetwork(architecture),
        (torch.zeros(2, 250, mels), torch.tensor([250, 240])),
        ((-1, -1, mels), (-1,)),
        inputs,
    )


def deepfake(checkpoints: Checkpoints) -> Workload:
    """Return the deepfake classifier with chunks of 5 s."""
    checkpoint = checkpoints(ModelKey.DEEPFAKE)
    network = SequenceClassifier(wav2vec2_architecture(checkpoint))
    load_state(network, rename_tensors(load_tensors(checkpoint.file("model.safetensors"))), "deepfake")
    inputs = {"wav2vec2-base 5 s x 1": (torch.randn(1, 5 * SAMPLE_RATE_HZ),)}
    return Workload(network, (torch.zeros(2, 8_000),), ((-1, -1),), inputs)


def xlsr(checkpoints: Checkpoints) -> Workload:
    """Return the XLSR backbone with clips of 6 s."""
    checkpoint = checkpoints(ModelKey.ACCENT_XLSR)
    backbone = build_backbone(wav2vec2_architecture(checkpoint))
    tensors = load_tensors(checkpoint.file("wav2vec2.ckpt"))
    published = {key.removeprefix(XLSR_PREFIX): tensor for key, tensor in tensors.items()}
    load_state(backbone, from_transformers(published), "XLSR")
    inputs = {"XLSR 6 s x 1": (torch.randn(1, 6 * SAMPLE_RATE_HZ),)}
    return Workload(LastHiddenState(backbone), (torch.zeros(2, 8_000),), ((-1, -1),), inputs)


def resnet(checkpoints: Checkpoints) -> Workload:
    """Return the convolutions of the diarization embedding network with windows of 10 s."""
    checkpoint = checkpoints(ModelKey.DIARIZATION_COMMUNITY_1)
    assert isinstance(checkpoint.architecture, DiarizationArchitecture)
    network = build_embedding(checkpoint.architecture)
    load_state(network, load_lightning(checkpoint.file("embedding/pytorch_model.bin")), "ResNet")
    inputs = {f"ResNet34 10 s x {batch}": (torch.randn(batch, WINDOW_FRAMES, N_MELS),) for batch in (1, 10)}
    return Workload(ResNetFrames(network.resnet), (torch.zeros(2, 200, N_MELS),), ((-1, -1, N_MELS),), inputs)


def segmentation(checkpoints: Checkpoints) -> Workload:
    """Return the segmentation network with windows of 10 s; these figures are why it stays on torch."""
    checkpoint = checkpoints(ModelKey.DIARIZATION_COMMUNITY_1)
    assert isinstance(checkpoint.architecture, DiarizationArchitecture)
    network = build_segmentation(checkpoint.architecture)
    load_state(network, load_lightning(checkpoint.file("segmentation/pytorch_model.bin")), "PyanNet")
    samples = round(checkpoint.architecture.chunk_s * SAMPLE_RATE_HZ)
    inputs = {f"PyanNet 10 s x {batch}": (torch.randn(batch, 1, samples),) for batch in (1, 8)}
    # A Lightning module without a trainer cannot be traced, but a function that calls it can.
    return Workload(lambda x: network(x), (torch.randn(2, 1, samples),), ((-1, 1, -1),), inputs)


WORKLOADS = {
    "ecapa": ecapa,
    "campplus": campplus,
    "deepfake": deepfake,
    "xlsr": xlsr,
    "resnet": resnet,
    "segmentation": segmentation,
}


def measure(workload: Workload, precisions: Sequence[Precision], rounds: int) -> None:
    """Measure one network and print its rows."""
    if isinstance(workload.network, nn.Module):
        workload.network.eval().requires_grad_(False)
    engines: dict[str, Callable[..., Tensor]] = {"torch": workload.network}
    started = time.perf_counter()
    for precision in precisions:
        engines[precision] = OpenVinoNetwork(workload.network, workload.examples, workload.shapes, precision)
    conversion_s = (time.perf_counter() - started) / len(precisions)
    for name, inputs in workload.inputs.items():
        first = {engine: _milliseconds(run, inputs) for engine, run in engines.items()}
        times: dict[str, list[float]] = {engine: [] for engine in engines}
        for _ in range(rounds):
            for engine, run in engines.items():
                times[engine].append(_milliseconds(run, inputs))
        medians = {engine: statistics.median(values) for engine, values in times.items()}
        for precision in precisions:
            print(
                f"{name:24} {precision:9} {medians['torch']:9.1f} {medians[precision]:9.1f} "
                f"{medians['torch'] / medians[precision]:6.2f} {first[precision]:9.1f} {conversion_s:8.1f}",
                flush=True,
            )


@torch.inference_mode()
def _milliseconds(run: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> float:
    started = time.perf_counter()
    run(*inputs)
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Measure the networks selected on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--only", choices=list(WORKLOADS), nargs="+", default=list(WORKLOADS))
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoints", type=Path, help="use this folder, and add missing checkpoints to it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    precisions: list[Precision] = ["float32"]
    if "BF16" in cpu_capabilities():
        precisions.append("bfloat16")
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "openvino"))
    print(f"{cpu_name()}, {options.threads} thread(s), {versions}, medians of {options.rounds}, ms")
    print(f"{'':24} {'openvino':9} {'torch':>9} {'openvino':>9} {'ratio':>6} {'first':>9} {'convert s':>8}")
    with tempfile.TemporaryDirectory() as temporary:
        root = options.checkpoints or Path(temporary)

        def locate_checkpoint(model: ModelKey) -> LocatedCheckpoint:
            folder = ensure_checkpoint(model, options.size, root)
            return locate(model, CheckpointSource(source=str(folder.resolve()), size=options.size))

        for name in options.only:
            measure(WORKLOADS[name](locate_checkpoint), precisions, options.rounds)


if __name__ == "__main__":
    main()
