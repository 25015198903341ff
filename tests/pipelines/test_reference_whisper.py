"""Whisper's front end and network answer what transformers answers, on random input and weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from closeness import relative_difference
from torch import Tensor

from config.checkpoint_types import WhisperArchitecture
from config.checkpoints import FAMILIES
from config.settings import CheckpointSource, Family, Size
from pipelines.checkpoints import load_tensors, locate
from pipelines.whisper_checkpoint import config_of, from_published, load_whisper, token_rows
from pipelines.whisper_features import log_mel, mel_filters
from pipelines.whisper_network import WhisperNetwork
from training.layouts.writer import write_checkpoint
from voxgraph.options import ModelKey
from voxgraph.results import Waveform

Clip = Callable[..., Waveform]
TOLERANCE = 1e-5
FRAMES = 1000
ARCHITECTURE = FAMILIES[ModelKey.LANGUAGE, Family.WHISPER].architectures[Size.SMALL]


def transformers_model(positions: int) -> Any:
    """A network whose language logits differ by several units from one window to another."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    assert isinstance(ARCHITECTURE, WhisperArchitecture)
    sizes = config_of(ARCHITECTURE) | {"max_source_positions": positions}
    tokens = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
    torch.manual_seed(3)
    return WhisperForConditionalGeneration(WhisperConfig(**sizes, **tokens, init_std=0.2)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as transformers writes it."""
    folder = tmp_path_factory.mktemp("published")
    assert isinstance(ARCHITECTURE, WhisperArchitecture)
    transformers_model(ARCHITECTURE.positions).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def network(folder: Path) -> WhisperNetwork:
    source = CheckpointSource(source=str(folder), size=Size.SMALL, family=Family.WHISPER)
    return load_whisper(locate(ModelKey.LANGUAGE, source))


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    """The same weights with the positions of 10 s, as transformers takes no window but one of all of them."""
    tensors = load_tensors(folder / "model.safetensors")
    positions = "model.encoder.embed_positions.weight"
    tensors[positions] = tensors[positions][: FRAMES // 2].contiguous()
    model = transformers_model(FRAMES // 2)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert missing == ["proj_out.weight"]
    assert not unexpected
    return model


def spectrum(seed: int) -> Tensor:
    return torch.randn(2, 80, FRAMES, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_mels", [80, 128])
def test_the_mel_filters_are_those_of_transformers(n_mels: int) -> None:
    from transformers.audio_utils import mel_filter_bank

    expected = mel_filter_bank(201, n_mels, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")

    assert relative_difference(mel_filters(n_mels), expected.T) < 1e-6


@pytest.mark.parametrize("gain", [1.0, 1e-3, 0.0])
@pytest.mark.parametrize("samples", [400, 12_345, 160_000])
def test_the_front_end_is_that_of_transformers(samples: int, gain: float, clip: Clip) -> None:
    from transformers import WhisperFeatureExtractor

    waveform = gain * clip(samples)
    window = np.zeros(160_000, np.float32)
    window[:samples] = waveform
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=10)
    expected = extractor(waveform, sampling_rate=16_000, return_tensors="np").input_features

    found = log_mel(torch.from_numpy(window)[None], mel_filters(80))

    assert found.shape == (1, 80, FRAMES)
    assert float(np.abs(found.numpy() - expected).max()) < 1e-5


def test_a_loud_window_of_a_batch_leaves_the_others_as_they_are(clip: Clip) -> None:
    windows = torch.from_numpy(np.stack([1e-3 * clip(16_000), clip(16_000, 1)]))

    together = log_mel(windows, mel_filters(80))

    assert torch.allclose(together[:1], log_mel(windows[:1], mel_filters(80)), atol=1e-6)


@torch.inference_mode()
def test_the_encoder_has_the_states_of_transformers(network: WhisperNetwork, reference: Any) -> None:
    features = spectrum(0)
    expected = reference.model.encoder(features, output_hidden_states=True)

    activations = network.encoder.activations(features)

    assert len(activations) == 2
    assert relative_difference(activations[0], expected.hidden_states[1]) < TOLERANCE
    assert relative_difference(network.encoder(features), expected.last_hidden_state) < TOLERANCE


@torch.inference_mode()
def test_the_languages_have_the_logits_of_transformers(network: WhisperNetwork, reference: Any) -> None:
    assert isinstance(ARCHITECTURE, WhisperArchitecture)
    features = spectrum(1)
    start = torch.full((2, 1), ARCHITECTURE.start_token)
    logits = reference(input_features=features, decoder_input_ids=start).logits[:, 0]

    found = network(features)

    assert relative_difference(found, logits[:, token_rows(ARCHITECTURE)]) < TOLERANCE
    assert relative_difference(found[0], found[1]) > 0.01, "the logits depend on what is heard"


def test_the_tokens_of_whisper_base_are_where_its_tokenizer_has_them() -> None:
    rows = token_rows(WhisperArchitecture())

    assert (rows[0], rows[-2], rows[-1]) == (50259, 50357, 50362)
    large = WhisperArchitecture(vocabulary=51866, n_labels=100)
    assert token_rows(large)[-1] == 50363


@torch.inference_mode()
def test_transformers_loads_what_the_writer_of_the_layout_writes(tmp_path: Path) -> None:
    from transformers import WhisperForConditionalGeneration

    assert isinstance(ARCHITECTURE, WhisperArchitecture)
    write_checkpoint(ModelKey.LANGUAGE, Size.SMALL, tmp_path, family=Family.WHISPER)
    model, info = WhisperForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    features = torch.randn(1, 80, 2 * ARCHITECTURE.positions)
    start = torch.full((1, 1), ARCHITECTURE.start_token)
    logits = model.eval()(input_features=features, decoder_input_ids=start).logits[:, 0]

    source = CheckpointSource(source=str(tmp_path), size=Size.SMALL, family=Family.WHISPER)
    found = load_whisper(locate(ModelKey.LANGUAGE, source))(features)

    assert relative_difference(found, logits[:, token_rows(ARCHITECTURE)]) < TOLERANCE


def test_an_output_embedding_that_stands_beside_the_input_embedding_is_left_out(folder: Path) -> None:
    assert isinstance(ARCHITECTURE, WhisperArchitecture)
    tensors = load_tensors(folder / "model.safetensors")
    tied = tensors | {"proj_out.weight": tensors["model.decoder.embed_tokens.weight"]}

    assert from_published(tied, ARCHITECTURE).keys() == from_published(tensors, ARCHITECTURE).keys()
