"""Whisper's encoder, and the first step of its decoder, which predicts the language.

The modules have transformers' names, so that a published state dict fits. The decoder runs once, at
``<|startoftranscript|>``. Self-attention over one token is its projected value, whatever query and key are,
so neither is kept. The vocabulary is reduced to the rows of the languages and of ``<|nospeech|>``.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from config.checkpoint_types import WhisperArchitecture


class WhisperNetwork(nn.Module):
    """Maps log-mel energies to the logits of the languages.

    Args:
        architecture: Sizes of the network; its weights are random.
    """

    def __init__(self, architecture: WhisperArchitecture) -> None:
        super().__init__()
        self.encoder = WhisperEncoder(architecture)
        self.decoder = LanguageStep(architecture)

    def forward(self, features: Tensor) -> Tensor:
        """Compute the logits of each window.

        Args:
            features: (batch, n_mels, frames), with an even number of frames, at most twice the positions.

        Returns:
            (batch, n_labels + 1): logits of the languages in the order of their tokens, then of nospeech; and
            one more, of speech against other sounds, if the checkpoint has it.
        """
        logits: Tensor = self.decoder(self.encoder(features))
        return logits


class WhisperEncoder(nn.Module):
    """Convolutions and pre-norm attention layers over a window of any length up to 30 s."""

    def __init__(self, architecture: WhisperArchitecture) -> None:
        super().__init__()
        hidden = architecture.hidden_size
        self.conv1 = nn.Conv1d(architecture.n_mels, hidden, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(hidden, hidden, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(architecture.positions, hidden)
        self.layers = nn.ModuleList(EncoderLayer(architecture) for _ in range(architecture.encoder_layers))
        self.layer_norm = nn.LayerNorm(hidden)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, n_mels, frames) to the final states, (batch, frames / 2, hidden)."""
        states: Tensor = self.layer_norm(self.activations(features)[-1])
        return states

    def activations(self, features: Tensor, count: int | None = None) -> list[Tensor]:
        """Return the output of each layer, (batch, frames / 2, hidden), before the final normalisation.

        Classifiers of other properties, such as accents, can share this pass.

        Args:
            features: (batch, n_mels, frames).
            count: Number of layers to compute, from the first. None: all.
        """
        x = functional.gelu(self.conv1(features))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        # A window of less than 30 s uses the first positions.
        x = x + self.embed_positions.weight[: x.shape[1]]
        outputs = []
        for layer in self.layers[:count]:
            x = layer(x)
            outputs.append(x)
        return outputs


class EncoderLayer(nn.Module):
    """Self-attention and two linear layers, each after a normalisation and with a residual connection."""

    def __init__(self, architecture: WhisperArchitecture) -> None:
        super().__init__()
        hidden = architecture.hidden_size
        self.self_attn = SelfAttention(hidden, architecture.attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(hidden)
        self.fc1 = nn.Linear(hidden, architecture.intermediate_size)
        self.fc2 = nn.Linear(architecture.intermediate_size, hidden)
        self.final_layer_norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape, (batch, time, hidden)."""
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        y: Tensor = x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))
        return y


class SelfAttention(nn.Module):
    """Attention of each frame to all frames; keys have no bias."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(hidden, hidden, bias=False)
        self.v_proj = nn.Linear(hidden, hidden)
        self.q_proj = nn.Linear(hidden, hidden)
        self.out_proj = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape, (batch, time, hidden)."""
        query, key, value = (self._split(linear(x)) for linear in (self.q_proj, self.k_proj, self.v_proj))
        attended = functional.scaled_dot_product_attention(query, key, value)
        y: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return y

    def _split(self, x: Tensor) -> Tensor:
        """Reshape (batch, time, hidden) to (batch, heads, time, hidden / heads)."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)


class LanguageStep(nn.Module):
    """The decoder at its first token."""

    def __init__(self, architecture: WhisperArchitecture) -> None:
        super().__init__()
        hidden = architecture.hidden_size
        self.start = nn.Parameter(torch.zeros(hidden))
        """Sum of the embeddings of ``<|startoftranscript|>`` and of position 0."""
        self.layers = nn.ModuleList(DecoderLayer(architecture) for _ in range(architecture.decoder_layers))
        self.layer_norm = nn.LayerNorm(hidden)
        self.tokens = nn.Parameter(torch.zeros(architecture.n_labels + 1, hidden))
        """Rows of the output embedding: the languages, then nospeech."""
        self.speech: nn.Linear | None = None
        """Logit of speech, from the state that the tokens are told from; only some checkpoints have it."""

    def forward(self, states: Tensor) -> Tensor:
        """Map (batch, time, hidden) to (batch, n_labels + 1), or + 2 with the logit of speech."""
        x = self.start.expand(states.shape[0], -1)
        for layer in self.layers:
            x = layer(x, states)
        x = self.layer_norm(x)
        logits = functional.linear(x, self.tokens)
        return logits if self.speech is None else torch.cat((logits, self.speech(x)), dim=1)


class DecoderLayer(nn.Module):
    """A layer of the decoder for one token, (batch, hidden)."""

    def __init__(self, architecture: WhisperArchitecture) -> None:
        super().__init__()
        hidden = architecture.hidden_size
        self.self_attn = nn.ModuleDict(
            {"v_proj": nn.Linear(hidden, hidden), "out_proj": nn.Linear(hidden, hidden)}
        )
        self.self_attn_layer_norm = nn.LayerNorm(hidden)
        self.encoder_attn = CrossAttention(hidden, architecture.attention_heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(hidden)
        self.fc1 = nn.Linear(hidden, architecture.intermediate_size)
        self.fc2 = nn.Linear(architecture.intermediate_size, hidden)
        self.final_layer_norm = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, states: Tensor) -> Tensor:
        """Keep the shape of `x`, (batch, hidden)."""
        value = self.self_attn["v_proj"](self.self_attn_layer_norm(x))
        x = x + self.self_attn["out_proj"](value)
        x = x + self.encoder_attn(self.encoder_attn_layer_norm(x), states)
        y: Tensor = x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))
        return y


class CrossAttention(nn.Module):
    """Attention of one token to the frames of the encoder; keys have no bias.

    There is one query, so the matrices of key and value are applied to the query and to the weighted mean of
    the frames instead of to each frame: the same result with a sixtieth of the products for 500 frames.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(hidden, hidden, bias=False)
        self.v_proj = nn.Linear(hidden, hidden)
        self.q_proj = nn.Linear(hidden, hidden)
        self.out_proj = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, states: Tensor) -> Tensor:
        """Map (batch, hidden) and (batch, time, hidden) to (batch, hidden)."""
        keys, values = (
            linear.weight.view(self.heads, -1, x.shape[1]) for linear in (self.k_proj, self.v_proj)
        )
        query = self.q_proj(x).reshape(x.shape[0], self.heads, 1, -1) * keys.shape[1] ** -0.5
        directions = (query @ keys)[:, :, 0]
        weights = (directions @ states.transpose(1, 2)).softmax(dim=2)
        means = (weights @ states)[:, :, None]
        attended = (means @ values.transpose(1, 2))[:, :, 0].flatten(1) + self.v_proj.bias
        y: Tensor = self.out_proj(attended)
        return y
