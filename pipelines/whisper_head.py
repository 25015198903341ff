"""The linear heads of the starter checkpoints on Whisper's encoder: files, network and probability.

The layout of a head is ``config.json`` with its calibration, ``head.safetensors`` with its weights, and the
folder ``encoder`` with the small layout of Whisper's encoder, which the starter checkpoints share.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from config.checkpoint_types import WhisperHeadArchitecture
from config.settings import EngineOptions
from pipelines.calibrations import number, read_object
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_state, load_tensors
from pipelines.engines.run import on_engine
from pipelines.engines.select import EngineChoice, Network, choose
from pipelines.pieces import Piecewise, Result
from pipelines.samples import Samples
from pipelines.vendored.process import full_float32
from pipelines.whisper_checkpoint import CONFIG, check_config, dequantized
from pipelines.whisper_features import HOP_SAMPLES, log_mel, mel_filters
from pipelines.whisper_network import WhisperEncoder
from pipelines.whisper_pooling import PooledEncoder
from pipelines.whisper_windows import MIN_SAMPLES, STATE_SAMPLES, Windows, cut_windows, in_batches
from voxgraph.errors import CheckpointError
from voxgraph.results import SAMPLE_RATE_HZ, Waveform

ENCODER, HEAD = "encoder", "head.safetensors"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Maps a head's score to a probability: the logistic function of ``scale * score + offset``."""

    scale: float
    offset: float

    def probability(self, score: float) -> float:
        """Return the probability of the head's first class, 0..1."""
        return float(0.5 + 0.5 * math.tanh((self.scale * score + self.offset) / 2))


class WhisperHead(Piecewise[Windows, Tensor, Result]):
    """Answers from the mean over windows of a linear function of the encoder's statistics.

    Args:
        checkpoint: A checkpoint with a `WhisperHeadArchitecture`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the encoder; front end and head run on torch in float32.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine is not available.
    """

    min_samples = MIN_SAMPLES

    def __init__(self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions) -> None:
        self._architecture = architecture = head_architecture(checkpoint)
        self.config = read_object(checkpoint.file(CONFIG))
        self.calibration = read_calibration(self.config)
        self._linear = load_head(checkpoint)
        self.statistics = WindowStatistics(checkpoint, device, options)
        self.choice = self.statistics.choice
        self.parameter_count = self.statistics.parameter_count + statistics_of(architecture) + 1

    @abstractmethod
    def answer(self, probability: float) -> Result:
        """Return the answer about a recording from the probability of the first label."""

    def cut(self, samples: Samples) -> list[Windows]:
        """Return what the encoder hears of a recording."""
        return self.statistics.cut(samples)

    def seconds_of(self, piece: Windows) -> float:
        """Return the seconds of a recording in some windows."""
        return piece.seconds

    def run(self, pieces: Sequence[Windows]) -> list[Tensor]:
        """Return the statistics of some windows, (windows, layers, 2 * hidden), on the CPU."""
        return self.statistics.run(pieces)

    def join(self, samples: Samples, outputs: Sequence[Tensor]) -> Result:
        """Return the answer about a recording."""
        return self.answer(self.calibration.probability(self.score(torch.cat([*outputs]))))

    def score(self, statistics: Tensor) -> float:
        """Return the score of a clip, given the statistics of its windows, (windows, layers, 2 * hidden)."""
        return float(self._linear(statistics.flatten(1)).mean())


class WindowStatistics:
    """Statistics of the windows of clips, on an engine.

    Args:
        checkpoint: A checkpoint with a `WhisperHeadArchitecture`; of its files only the encoder is read.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the encoder.
    """

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        self._architecture = architecture = head_architecture(checkpoint)
        self._device = torch.device(device)
        self._samples = architecture.window_s * SAMPLE_RATE_HZ
        self._filters = mel_filters(architecture.encoder.n_mels).to(self._device)
        network = load_encoder(checkpoint).to(self._device)
        self.choice: EngineChoice = choose(options, device, Network.WHISPER, checkpoint.size)
        self.parameter_count = sum(parameter.numel() for parameter in network.parameters())
        shapes = (
            (architecture.encoder.n_mels, self._samples // HOP_SAMPLES),
            (self._samples // STATE_SAMPLES,),
        )
        examples = [torch.zeros(2, *shapes[0]), torch.full((2, *shapes[1]), 1 / shapes[1][0])]
        self._run = on_engine(
            network, self.choice, examples, [(-1, *shape) for shape in shapes], checkpoint.identity
        )

    def __call__(self, waveforms: Sequence[Waveform]) -> list[Tensor]:
        """Return the statistics of each clip's windows, (windows, layers, 2 * hidden), on the CPU.

        Raises:
            AudioTooShort: A clip has fewer than `MIN_SAMPLES` samples.
        """
        return [torch.cat(self.run(self.cut(waveform))) for waveform in waveforms]

    def cut(self, samples: Samples) -> list[Windows]:
        """Return the windows of a recording; raises what a call raises."""
        return cut_windows(samples, self._samples, self._architecture.max_windows)

    @full_float32()
    @torch.inference_mode()
    def run(self, pieces: Sequence[Windows]) -> list[Tensor]:
        """Return the statistics of some windows, (windows, layers, 2 * hidden), on the CPU."""
        return in_batches(self._of_windows, pieces)

    def _of_windows(self, windows: Tensor, shares: Tensor) -> Tensor:
        features = log_mel(windows.to(self._device), self._filters)
        return self._run(features, shares.to(self._device)).cpu()


def head_architecture(checkpoint: LocatedCheckpoint) -> WhisperHeadArchitecture:
    """Return the architecture of a head's checkpoint.

    Raises:
        CheckpointError: The checkpoint has another kind of architecture.
    """
    if not isinstance(checkpoint.architecture, WhisperHeadArchitecture):
        raise CheckpointError(f"{checkpoint.row.hub_id} is not a head on Whisper's encoder.")
    return checkpoint.architecture


def statistics_of(architecture: WhisperHeadArchitecture) -> int:
    """Return the number of statistics that the head weighs."""
    return len(architecture.layers) * 2 * architecture.encoder.hidden_size


def load_encoder(checkpoint: LocatedCheckpoint) -> PooledEncoder:
    """Build the encoder up to the last layer that the head needs, in float32 and evaluation mode.

    Raises:
        CheckpointError: A file is missing or damaged, or does not fit the architecture.
    """
    architecture, name = head_architecture(checkpoint), f"{checkpoint.row.hub_id} encoder"
    check_config(checkpoint.file(f"{ENCODER}/{CONFIG}"), architecture.encoder)
    with Unfilled():
        encoder = WhisperEncoder(architecture.encoder)
    load_state(encoder, dequantized(load_tensors(checkpoint.file(f"{ENCODER}/encoder.safetensors"))), name)
    encoder.layers = encoder.layers[: architecture.layers[-1]]
    return PooledEncoder(encoder, architecture.layers).eval().requires_grad_(False)


def load_head(checkpoint: LocatedCheckpoint) -> nn.Linear:
    """Build the linear layer from the statistics to the score.

    Raises:
        CheckpointError: The file is missing or damaged, or does not fit the architecture.
    """
    inputs = statistics_of(head_architecture(checkpoint))
    with Unfilled():
        linear = nn.Linear(inputs, 1)
    load_state(linear, load_tensors(checkpoint.file(HEAD)), f"{checkpoint.row.hub_id} head")
    return linear.eval().requires_grad_(False)


def read_calibration(config: Mapping[str, Any]) -> Calibration:
    """Return the calibration of a head, ``{"calibration": {"scale": 1.2, "offset": -0.3}}``.

    Raises:
        CheckpointError: It is missing, a number is not finite, or the scale is not positive.
    """
    found = config.get("calibration")
    if not isinstance(found, dict):
        raise CheckpointError(f"{CONFIG} has no object calibration.")
    return Calibration(number(found, "scale", above=0.0, file=CONFIG), number(found, "offset", file=CONFIG))
