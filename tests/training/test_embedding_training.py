"""What the embedding network is taught with: windows of conversations, pooled where one speaks alone."""

import numpy as np
import pytest
import torch
from pyannote.audio.models.blocks.pooling import StatsPool

from training import embedding
from training.conversations import Conversation
from training.corpus import Clip
from training.embedding import Talks, build_embedding, demo_architecture, pooled, talk
from voxgraph.results import Turn

RATE = 16_000


def test_pooling_is_pyannotes_and_its_gradient_is_finite_where_a_channel_is_silent() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand((5, 12, 40), generator=generator)
    masks = (torch.rand((5, 320), generator=generator) > 0.4).float()

    torch.testing.assert_close(pooled(frames, masks), StatsPool()(frames, masks), rtol=1e-4, atol=1e-5)

    frames[:, 3] = 0
    frames.requires_grad_(True)
    pooled(frames, masks).sum().backward()  # type: ignore[no-untyped-call]
    assert frames.grad is not None
    assert frames.grad.isfinite().all()


def test_a_talk_says_who_speaks_alone_in_each_frame_of_10_ms() -> None:
    network = build_embedding(demo_architecture())
    noise = np.random.default_rng(0).normal(size=4 * RATE).astype(np.float32)
    turns = (Turn(0.0, 2.0, "b"), Turn(1.0, 3.0, "a"))

    heard = talk(network, Conversation(noise, turns), ["a", "b", "c"])

    seconds = 0.0125 + 0.01 * np.arange(len(heard.features))
    assert len(heard.features) == 398
    assert heard.labels.tolist() == [0, 1]
    assert np.array_equal(heard.alone[0].numpy() == 1, (seconds >= 2) & (seconds < 3))
    assert np.array_equal(heard.alone[1].numpy() == 1, seconds < 1)


def test_a_batch_asks_for_every_voice_that_speaks_long_enough_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CONVERSATIONS", 4)
    generator = np.random.default_rng(1)
    clips = [
        Clip(generator.normal(size=4 * RATE).astype(np.float32), f"voice{number}", "en", "")
        for number in range(6)
    ]
    talks = Talks(build_embedding(demo_architecture()), clips, generator)

    for _ in range(5):
        features, masks, windows, labels = talks.batch()
        assert masks.shape == (len(windows), features.shape[1])
        assert len(labels) == len(windows)
        assert set(windows.tolist()) <= set(range(len(features)))
        assert (masks.sum(dim=1) >= embedding.FEWEST_ALONE).all()
        assert masks.sum(dim=0).max() >= 1
        torch.testing.assert_close(features.mean(dim=1), torch.zeros(len(features), 80), atol=1e-4, rtol=0)
        for window in windows.unique():
            assert masks[windows == window].sum(dim=0).max() == 1
            assert labels[windows == window].unique().numel() == int((windows == window).sum())
