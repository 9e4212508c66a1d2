"""Any text survives byte-level tokenizers; those of other packages are read where the packages are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backend import ModelUnavailable
from models.tokenizer import ByteTokenizer, Tokenizer, find_tokenizer, open_tokenizer, train_bpe

TEXTS = ["def add(a, b):\n    return a + b\n", "x = {'ü': 1}\n", "for i in range(3):\n    print(i)\n"] * 4


@given(text=st.text())
def test_bytes_bring_any_text_back(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text, start=True)) == text
    assert len(tokenizer.encode(text)) == len(text.encode())


def test_bytes_that_are_no_text_become_the_replacement_character() -> None:
    assert ByteTokenizer().decode([0xC3, 256, 65]) == "\N{REPLACEMENT CHARACTER}A"


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    pytest.importorskip("tokenizers", reason="the extra hf is not installed")
    return train_bpe(TEXTS, 300, tmp_path_factory.mktemp("bpe"))


@given(text=st.text())
def test_byte_level_bpe_brings_any_text_back(bpe: Tokenizer, text: str) -> None:
    assert bpe.decode(bpe.encode(text, start=True)) == text.replace("<|end|>", "")


def test_bpe_shortens_what_it_was_made_for(bpe: Tokenizer) -> None:
    assert len(bpe.encode(TEXTS[0])) < 0.7 * len(TEXTS[0])
    assert bpe.vocab_size <= 300
    assert bpe.encode("", start=True) == [bpe.start_id]


def test_bpe_is_the_same_each_time(bpe: Tokenizer, tmp_path: Path) -> None:
    train_bpe(TEXTS, 300, tmp_path / "one")
    train_bpe(iter(TEXTS), 300, tmp_path / "two")
    assert (tmp_path / "one" / "tokenizer.json").read_bytes() == (tmp_path / "two" / "tokenizer.json").read_bytes()


def test_what_bpe_saves_is_opened(bpe: Tokenizer, tmp_path: Path) -> None:
    again = open_tokenizer(tmp_path, bpe.save(tmp_path))
    assert again.encode(TEXTS[1], start=True) == bpe.encode(TEXTS[1], start=True)
    assert again.end_ids == bpe.end_ids


def test_a_vocabulary_without_room_for_the_bytes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 257"):
        train_bpe(TEXTS, 100, tmp_path)


def test_sentencepiece_models_are_read(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece", reason="the extra hf is not installed")
    with (tmp_path / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS), model_writer=file, vocab_size=330, byte_fallback=True, minloglevel=2,
            hard_vocab_limit=False, normalization_rule_name="identity", remove_extra_whitespaces=False,
        )  # fmt: skip
    (tmp_path / "7B").mkdir()
    tokenizer = find_tokenizer(tmp_path / "7B")  # beside the folders of the models, as published
    assert tokenizer.start_id == 1
    assert tokenizer.end_ids == (2,)
    tokens = tokenizer.encode("x = 1\nü", start=True)
    assert tokens[0] == 1
    assert tokenizer.decode(tokens) == "x = 1\nü"
    saved = open_tokenizer(tmp_path, tokenizer.save(tmp_path))
    assert saved.encode("x = 1") == tokenizer.encode("x = 1")


def test_published_ids_are_found(bpe: Tokenizer, tmp_path: Path) -> None:
    bpe.save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": 5, "eos_token_id": 6}))
    assert find_tokenizer(tmp_path).end_ids == (6,)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [6, 7]}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": False}))
    found = find_tokenizer(tmp_path)
    assert (found.start_id, found.end_ids) == (None, (6, 7))


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="has no tokenizer"):
        find_tokenizer(tmp_path / "model")
