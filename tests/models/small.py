"""Small models for tests: random, or taught a few texts by heart."""

from __future__ import annotations

from typing import Any

import torch

from models.backend import Completion, Request, Sampling
from models.decode_stats import DecodeStats
from models.draft_length import DraftLength, FixedLength
from models.mtp import HeadType, MTPConfig, MTPTransformer
from models.speculative import Decoder
from models.step import StepModel
from models.tokenizer import ByteTokenizer


class Digits:
    """A tokenizer of a toy vocabulary: token i is the i-th character, the last one ends a text."""

    def __init__(self, characters: str) -> None:
        self._characters = characters
        self.vocab_size = len(characters) + 1
        self.start_id: int | None = None
        self.end_ids = (len(characters),)

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        return [self._characters.index(character) for character in text]

    def decode(self, tokens: Any) -> str:
        return "".join(self._characters[token] for token in tokens if token < len(self._characters))


def small_model(
    *,
    n: int = 4,
    head_type: HeadType = "transformer",
    vocab_size: int = 257,
    num_kv_heads: int = 2,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    spread: float = 1.0,
    max_positions: int = 128,
) -> MTPTransformer:
    """Random weights; `spread` makes its choices surer."""
    config = MTPConfig(
        vocab_size=vocab_size,
        dim=32,
        num_layers=max(n, 2) + 1,
        num_heads=4,
        num_kv_heads=num_kv_heads,
        hidden_dim=48,
        num_future_tokens=n,
        head_type=head_type,
        max_positions=max_positions,
    )
    model = MTPTransformer(config)
    model.reset(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.mul_(8 if not name.startswith(("output", "extra_outputs")) else 20 * spread)
    return model.to(dtype).eval()


def taught(model: MTPTransformer, texts: list[str], *, steps: int, rate: float = 3e-3) -> MTPTransformer:
    """The same model after `steps` of learning the texts, all heads together."""
    tokenizer = ByteTokenizer()
    rows = [torch.tensor([*tokenizer.encode(text, start=True), tokenizer.end_ids[0]]) for text in texts]
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    n = model.config.num_future_tokens
    for step in range(steps):
        tokens = rows[step % len(rows)][None]
        logits = model(tokens, return_all_heads=True)
        loss = sum(
            torch.nn.functional.cross_entropy(logits[0, : -1 - i, i], tokens[0, 1 + i :])
            for i in range(n)
            if tokens.shape[1] > 1 + i
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.requires_grad_(False)


def decode(
    model: MTPTransformer,
    prompts: list[str],
    sampling: Sampling,
    *,
    k: int = 1,
    batch_size: int = 4,
    draft_length: DraftLength | None = None,
    exact: MTPTransformer | None = None,
    tokenizer: Any = None,
    samples: int = 1,
) -> tuple[dict[tuple[str, int], Completion], DecodeStats]:
    """All completions by (task, index), and what the decoding counted."""
    decoder = Decoder(
        StepModel(model),
        tokenizer or ByteTokenizer(),
        batch_size=batch_size,
        draft_length=draft_length or FixedLength(k),
        exact=exact,
    )
    requests = [
        Request(task_id=f"t{place}", index=index, prompt=prompt, seed=1000 * place + index)
        for place, prompt in enumerate(prompts)
        for index in range(samples)
    ]
    completions = list(decoder.generate(requests, sampling))
    assert len(completions) == len(requests)
    return {(one.task_id, one.index): one for one in completions}, decoder.stats
