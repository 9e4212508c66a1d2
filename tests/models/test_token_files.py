"""Batches are a function of seed and step, and every token comes once in a pass."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
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


@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(0, 9), min_size=4, max_size=30), seed=st.integers(0, 5), step=st.integers(0, 40))
def test_a_step_is_its_part_of_all_texts_in_the_order_of_its_pass(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int, step: int
) -> None:
    length, batch_size = 3, 2
    if sum(lengths) < length * batch_size:
        return
    folder = written(tmp_path_factory.mktemp("data"), lengths)
    per_pass = sum(lengths) // (length * batch_size)
    ends = np.cumsum(lengths)
    order = np.random.Generator(np.random.PCG64([seed, step // per_pass])).permutation(len(lengths))
    whole = [token for text in order for token in range(ends[text] - lengths[text], ends[text])]
    first = step % per_pass * length * batch_size
    tokens_BT = TokenFile(folder, length=length, batch_size=batch_size, seed=seed).batch(step)[0]
    assert tokens_BT.flatten().tolist() == whole[first : first + length * batch_size]


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


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document(tokens=[1, 2], weights=[1.0]), "text 1 has 2 tokens, but 1 weights"),
        (Document(tokens=[1, 257], weights=[1.0, 1.0]), "text 1 has tokens 1 to 257; accepted: 0 to 256"),
        (Document(tokens=[-1], weights=[1.0]), "text 1 has tokens -1 to -1"),
        (Document(tokens=[1, 2], weights=[0.0, 2.0]), r"text 1 has weights 0\.0 to 2\.0; accepted: 0 to 1"),
        (Document(tokens=[1], weights=[float("nan")]), "text 1 has weights nan"),
    ],
    ids=["lengths", "vocabulary", "negative", "weights", "nan"],
)
def test_a_text_that_cannot_be_kept_is_refused(tmp_path: Path, document: Document, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(tmp_path, [Document(tokens=[1], weights=[1.0]), document], vocab_size=257)


def test_files_that_were_not_finished_are_not_taken_for_whole(tmp_path: Path) -> None:
    written(tmp_path, [7, 19])

    def torn() -> Iterator[Document]:
        yield Document(tokens=[1] * 50, weights=[1.0] * 50)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, torn(), vocab_size=257)
    with pytest.raises(FileNotFoundError):
        TokenFile(tmp_path, length=2, batch_size=1, seed=0)


def test_files_are_written_in_less_memory_than_they_take(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        num_tokens = write(tmp_path, (Document(tokens=[7] * 999, weights=[1.0] * 999) for _ in range(2000)), 70_000)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert num_tokens == 2000 * 999
    assert peak_bytes < 0.1 * (tmp_path / "tokens.npy").stat().st_size


@pytest.mark.parametrize(("vocab_size", "kind"), [(1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_the_last_token_of_a_vocabulary_survives(tmp_path: Path, vocab_size: int, kind: type) -> None:
    write(tmp_path, [Document(tokens=[vocab_size - 1] * 4, weights=[1.0] * 4)], vocab_size)
    assert np.load(tmp_path / "tokens.npy").dtype == kind
    assert TokenFile(tmp_path, length=2, batch_size=2, seed=0).batch(0)[0].unique().tolist() == [vocab_size - 1]


def test_the_digest_changes_with_the_content(tmp_path: Path) -> None:
    one, same, other = (digest(written(tmp_path / name, lengths)) for name, lengths in
                        (("a", [3, 4]), ("b", [3, 4]), ("c", [4, 3])))  # fmt: skip
    assert one == same != other


def test_too_little_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="7 tokens, fewer than one batch of 2 rows of 4"):
        TokenFile(written(tmp_path, [3, 4]), length=4, batch_size=2, seed=0)
    with pytest.raises(ValueError, match="0 tokens, fewer than one batch"):
        TokenFile(written(tmp_path, []), length=4, batch_size=2, seed=0)
