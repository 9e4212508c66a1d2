"""Batches are a function of seed and step, and every token comes once in a pass."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.token_files import Document, TokenFile, digest, write


def written(folder: Path, lengths: list[int]) -> Path:
    """Texts whose tokens are all different."""
    start = 0
    documents = []
    for length in lengths:
        documents.append(Document(tokens=list(range(start, start + length)), weights=[0.2] * length))
        start += length
    write(folder, documents, vocab_size=70_000)
    return folder


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=4, max_size=30),
    length=st.integers(2, 9),
    batch_size=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_a_pass_has_every_token_at_most_once_and_texts_in_one_piece(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], length: int, batch_size: int, seed: int
) -> None:
    if sum(lengths) < length * batch_size:
        return
    folder = written(tmp_path_factory.mktemp("data"), lengths)
    file = TokenFile(folder, length=length, batch_size=batch_size, seed=seed)
    flat = torch.cat([file.batch(step)[0].flatten() for step in range(file.batches_per_pass)]).tolist()
    assert len(flat) == len(set(flat)) == file.batches_per_pass * length * batch_size
    assert sum(lengths) - len(flat) < length * batch_size
    # A text begins where another has ended, or where the pass begins.
    begins = {int(start) for start in np.cumsum([0, *lengths])}
    assert all(token == before + 1 or token in begins for before, token in itertools.pairwise(flat))


def test_a_step_is_the_same_whatever_was_read_before(tmp_path: Path) -> None:
    folder = written(tmp_path, [7, 19, 3, 40, 11] * 5)
    one, other = (TokenFile(folder, length=8, batch_size=2, seed=4) for _ in range(2))
    for step in (60, 3, 17, 0, 3):
        other.batch(step + 1)
        assert torch.equal(one.batch(step)[0], other.batch(step)[0])


def test_passes_and_seeds_have_orders_of_their_own(tmp_path: Path) -> None:
    folder = written(tmp_path, [7, 19, 3, 40, 11] * 5)
    file = TokenFile(folder, length=8, batch_size=2, seed=4)
    first, second = file.batch(0)[0], file.batch(file.batches_per_pass)[0]
    assert not torch.equal(first, second)
    assert not torch.equal(first, TokenFile(folder, length=8, batch_size=2, seed=5).batch(0)[0])


def test_weights_stay_with_their_tokens(tmp_path: Path) -> None:
    documents = [Document(tokens=[i] * 9, weights=[i / 255] * 9) for i in range(1, 20)]
    write(tmp_path, documents, vocab_size=257)
    tokens, weights = TokenFile(tmp_path, length=10, batch_size=3, seed=0).batch(1)
    torch.testing.assert_close(weights * 255, tokens.float())


def test_the_digest_changes_with_the_content(tmp_path: Path) -> None:
    one, same, other = (digest(written(tmp_path / name, lengths)) for name, lengths in
                        (("a", [3, 4]), ("b", [3, 4]), ("c", [4, 3])))  # fmt: skip
    assert one == same != other


def test_too_little_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="7 tokens, fewer than one batch of 2 rows of 4"):
        TokenFile(written(tmp_path, [3, 4]), length=4, batch_size=2, seed=0)
