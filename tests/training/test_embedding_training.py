"""Training data of the embedding network: windows of conversations and masks of single speakers."""

import numpy as np
import pytest
import torch
from pyannote.audio.models.blocks.pooling import StatsPool

from training import embedding
from training.conversations import Conversation
from training.corpus import Clip
from training.embedding import (
    ConversationTrainer,
    build_embedding,
    conversation_features,
    demo_architecture,
    stats_pool,
)
from voxgraph.results import Turn

RATE = 16_000


def test_pooling_matches_pyannote_and_its_gradient_is_finite_on_a_silent_channel() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand((5, 12, 40), generator=generator)
    masks = (torch.rand((5, 320), generator=generator) > 0.4).float()

    torch.testing.assert_close(stats_pool(frames, masks), StatsPool()(frames, masks), rtol=1e-4, atol=1e-5)

    frames[:, 3] = 0
    frames.requires_grad_(True)
    stats_pool(frames, masks).sum().backward()  # type: ignore[no-untyped-call]
    assert frames.grad is not None
    assert frames.grad.isfinite().all()


def test_features_mark_the_frames_where_each_speaker_talks_alone() -> None:
    network = build_embedding(demo_architecture())
    noise = np.random.default_rng(0).normal(size=4 * RATE).astype(np.float32)
    turns = (Turn(0.0, 2.0, "b"), Turn(1.0, 3.0, "a"))

    found = conversation_features(network, Conversation(noise, turns), ["a", "b", "c"])

    seconds = 0.0125 + 0.01 * np.arange(len(found.features))
    assert len(found.features) == 398
    assert found.labels.tolist() == [0, 1]
    assert np.array_equal(found.alone[0].numpy() == 1, (seconds >= 2) & (seconds < 3))
    assert np.array_equal(found.alone[1].numpy() == 1, seconds < 1)


def test_a_batch_contains_every_speaker_that_talks_alone_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CONVERSATIONS", 4)
    generator = np.random.default_rng(1)
    clips = [
        Clip(generator.normal(size=4 * RATE).astype(np.float32), f"voice{number}", "en", "")
        for number in range(6)
    ]
    trainer = ConversationTrainer(build_embedding(demo_architecture()), clips, generator)

    for _ in range(5):
        features, masks, windows, labels = trainer.batch()
        assert masks.shape == (len(windows), features.shape[1])
        assert len(labels) == len(windows)
        assert set(windows.tolist()) <= set(range(len(features)))
        assert (masks.sum(dim=1) >= embedding.MIN_FRAMES_ALONE).all()
        assert masks.sum(dim=0).max() >= 1
        torch.testing.assert_close(features.mean(dim=1), torch.zeros(len(features), 80), atol=1e-4, rtol=0)
        for window in windows.unique():
            assert masks[windows == window].sum(dim=0).max() == 1
            assert labels[windows == window].unique().numel() == int((windows == window).sum())
