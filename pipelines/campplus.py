"""CAM++ with its front end: speaker embeddings of clips, the same alone and in any batch.

The front end computes Kaldi's log-mel energies and subtracts their mean over the clip; then comes
`pipelines.campplus_network`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from config.checkpoint_types import CamPlusPlusArchitecture
from config.settings import EngineOptions
from pipelines.campplus_network import MIN_FRAMES, CamPlusPlusNetwork
from pipelines.checkpoints import LocatedCheckpoint, Unfilled, load_state, load_tensors
from pipelines.engines.run import on_engine
from pipelines.engines.select import Network, choose
from pipelines.kaldi_fbank import HOP_SAMPLES, WINDOW_SAMPLES, KaldiFbank
from pipelines.vendored.process import full_float32
from voxgraph.errors import AudioTooShort, CheckpointError
from voxgraph.results import Waveform

WEIGHTS = "model.safetensors"
"""File of the checkpoint: the published state dict with unchanged names."""
MIN_SAMPLES = WINDOW_SAMPLES + (MIN_FRAMES - 1) * HOP_SAMPLES
LONGEST_SAMPLES = 10 * 16_000
"""Longest clip in one forward pass; of a longer one, the mean over windows of this length is taken. On 58 s
of real speech, it has a median cosine of 0.998 to the embedding of the whole and tells voices as well."""


class CamPlusPlus:
    """The front end and the network of one checkpoint.

    Args:
        checkpoint: A located checkpoint with a `CamPlusPlusArchitecture`.
        device: ``cpu`` or ``cuda:0``.
        options: Engine and precision of the network. The front end always runs on torch in float32.

    Raises:
        CheckpointError: The tensors do not fit the architecture, or the engine is not available.
    """

    def __init__(
        self, checkpoint: LocatedCheckpoint, device: str, options: EngineOptions = EngineOptions()
    ) -> None:
        architecture = checkpoint.architecture
        if not isinstance(architecture, CamPlusPlusArchitecture):
            raise CheckpointError(f"{checkpoint.row.hub_id} is not a CAM++ checkpoint.")
        with Unfilled():
            network = CamPlusPlusNetwork(architecture)
        load_state(network, load_tensors(checkpoint.file(WEIGHTS)), f"{checkpoint.row.hub_id} {WEIGHTS}")
        self.device = torch.device(device)
        self._network = network.eval().requires_grad_(False).to(self.device)
        self._fbank = KaldiFbank(architecture.n_mels).to(self.device)
        self.choice = choose(options, device, Network.CAMPPLUS, checkpoint.size)
        example = torch.zeros(2, 250, architecture.n_mels), torch.tensor([250, 240])
        shapes = (-1, -1, architecture.n_mels), (-1,)
        self._run = on_engine(self._network, self.choice, example, shapes, checkpoint.identity)

        self.dimension = architecture.embedding_dim

    @property
    def parameter_count(self) -> int:
        """Number of weights of the network."""
        return sum(parameter.numel() for parameter in self._network.parameters())

    @full_float32()
    @torch.inference_mode()
    def embed(self, waveforms: Sequence[Waveform]) -> Tensor:
        """Embed clips in one batch.

        Args:
            waveforms: Each float32, (samples,), 16 kHz mono, at least `MIN_SAMPLES` long. What is longer
                than `LONGEST_SAMPLES` is cut before.

        Returns:
            (batch, embedding_dim), float32, not normalised.

        Raises:
            AudioTooShort: A clip has fewer samples.
        """
        shortest = min(len(waveform) for waveform in waveforms)
        if shortest < MIN_SAMPLES:
            raise AudioTooShort(f"{shortest} samples; CAM++ needs {MIN_SAMPLES} (0.045 s).")
        return self.embed_features(self.features([torch.tensor(waveform) for waveform in waveforms]))

    @torch.inference_mode()
    def features(self, clips: Sequence[Tensor]) -> list[Tensor]:
        """Compute log-mel energies on the device: (frames, n_mels) for each clip, float32 (samples,)."""
        energies: list[Tensor] = self._fbank([clip.to(self.device) for clip in clips])
        return energies

    @full_float32()
    @torch.inference_mode()
    def embed_features(self, features: Sequence[Tensor]) -> Tensor:
        """Embed log-mel energies from `features`, after subtracting their mean over each clip.

        Args:
            features: Each (frames, n_mels), on the device, at least `MIN_FRAMES` frames.

        Returns:
            (batch, embedding_dim), float32, not normalised.
        """
        frames = torch.tensor([len(clip) for clip in features], device=self.device)
        centred = [clip - clip.mean(dim=0) for clip in features]
        return self._run(nn.utils.rnn.pad_sequence(centred, batch_first=True), frames)
