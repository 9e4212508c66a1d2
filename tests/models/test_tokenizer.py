"""Any text survives byte-level tokenizers; those of other packages are read where the packages are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backend import ModelUnavailable
from models.tokenizer import ByteTokenizer, FileTokenizer, Tokenizer, find_tokenizer, open_tokenizer, train_bpe

TEXTS = ["def add(a, b):\n    return a + b\n", "x = {'ü': 1}\n", "for i in range(3):\n    print(i)\n"] * 4

# Text as it comes, and text with what is special to tokenizers.
ANY = st.text() | st.lists(st.sampled_from(["<|end|>", "<s>", "</s>", " ", "\n", "\0", "a", "ü", "🙂"])).map("".join)


@given(text=ANY)
def test_bytes_bring_any_text_back(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode([*tokenizer.encode(text, start=True), tokenizer.end_id]) == text


@given(text=st.text())
def test_bytes_are_as_many_as_utf_8_has(text: str) -> None:
    assert ByteTokenizer().encode(text) == list(text.encode())


@given(tokens=st.lists(st.integers(0, 256)))
def test_any_bytes_have_a_text(tokens: list[int]) -> None:
    expected = b"".join(bytes([token]) for token in tokens if token < 256).decode("utf-8", "replace")
    assert ByteTokenizer().decode(tokens) == expected


def test_bytes_that_are_no_text_become_the_replacement_character() -> None:
    assert ByteTokenizer().decode([0xC3, 256, 65]) == "\N{REPLACEMENT CHARACTER}A"


def test_bytes_need_no_file(tmp_path: Path) -> None:
    described = ByteTokenizer().save(tmp_path)
    assert not list(tmp_path.iterdir())
    assert described == ByteTokenizer().describe()
    assert isinstance(open_tokenizer(tmp_path, described), ByteTokenizer)


# ---------------------------------------------------------------------------------------------------------------------
# BPE
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bpe() -> FileTokenizer:
    pytest.importorskip("tokenizers", reason="the extra hf is not installed")
    return train_bpe(TEXTS, 300)


@given(text=ANY)
def test_byte_level_bpe_brings_any_text_back(bpe: Tokenizer, text: str) -> None:
    assert bpe.decode([*bpe.encode(text, start=True), bpe.end_id]) == text


def test_the_name_of_the_end_in_a_text_ends_nothing(bpe: Tokenizer) -> None:
    assert bpe.end_id not in bpe.encode("print('<|end|>')")


def test_torn_bytes_become_the_replacement_character(bpe: Tokenizer) -> None:
    first_byte = bpe.encode("🙂")[:1]
    assert bpe.decode([*first_byte, *bpe.encode("A")]) == "\N{REPLACEMENT CHARACTER}A"


def test_bpe_shortens_what_it_was_made_for(bpe: Tokenizer) -> None:
    assert len(bpe.encode(TEXTS[0])) < 0.7 * len(TEXTS[0])
    assert bpe.vocab_size <= 300


def test_a_start_is_one_token(bpe: Tokenizer) -> None:
    assert bpe.encode("", start=True) == [bpe.start_id]
    assert bpe.encode("a", start=True) == [bpe.start_id, *bpe.encode("a")]


_TRAIN = """
import sys
from pathlib import Path
from models.tokenizer import train_bpe
train_bpe(eval(sys.argv[2]), 300, Path(sys.argv[1]))
"""


def test_bpe_is_the_same_in_every_process(bpe: Tokenizer, tmp_path: Path) -> None:
    for place in ("one", "two"):
        subprocess.run([sys.executable, "-c", _TRAIN, tmp_path / place, repr(TEXTS)], check=True)
    (tmp_path / "three").mkdir()
    bpe.save(tmp_path / "three")
    one, two = ((tmp_path / place / "tokenizer.json").read_bytes() for place in ("one", "two"))
    assert one == two
    assert json.loads(one) == json.loads((tmp_path / "three" / "tokenizer.json").read_text())


def test_what_bpe_saves_is_opened(bpe: Tokenizer, tmp_path: Path) -> None:
    again = open_tokenizer(tmp_path, bpe.save(tmp_path))
    assert again.encode("x<|end|>" + TEXTS[1], start=True) == bpe.encode("x<|end|>" + TEXTS[1], start=True)
    assert (again.start_id, again.end_ids, again.describe()) == (bpe.start_id, bpe.end_ids, bpe.describe())


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 257"):
        train_bpe(TEXTS, 256)


def test_the_smallest_vocabulary_is_the_bytes(bpe: Tokenizer) -> None:
    smallest = train_bpe(TEXTS, 257)
    assert smallest.vocab_size == 257
    assert len(smallest.encode("aü")) == 3


def test_without_its_package_a_file_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    # A process that has no site packages has no tokenizers either.
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from models.backend import ModelUnavailable
from models.tokenizer import open_tokenizer, train_bpe
for attempt in (
    lambda: open_tokenizer(Path({str(tmp_path)!r}), {{"type": "tokenizers"}}),
    lambda: open_tokenizer(Path({str(tmp_path)!r}), {{"type": "sentencepiece"}}),
    lambda: train_bpe([], 300),
):
    try:
        attempt()
    except ModelUnavailable as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split("needs the package ")[1].split(";")[0] for line in lines] == [
        "tokenizers",
        "sentencepiece",
        "tokenizers",
    ]
    assert all("pip install 'mtp-harness[hf]'" in line for line in lines)


# ---------------------------------------------------------------------------------------------------------------------
# SentencePiece
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model below one with tokenizer.model, as Meta's are; the model's settings are Llama 2's."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="the extra hf is not installed")
    place = tmp_path_factory.mktemp("released")
    with (place / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS), model_writer=file, model_type="bpe", vocab_size=330, byte_fallback=True,
            hard_vocab_limit=False, normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=2,
        )  # fmt: skip
    (place / "7B").mkdir()
    return place / "7B"


def test_sentencepiece_is_found_above_the_folder(released: Path) -> None:
    tokenizer = find_tokenizer(released)
    assert (tokenizer.start_id, tokenizer.end_ids, tokenizer.end_id) == (1, (2,), 2)
    assert tokenizer.encode("x", start=True) == [1, *tokenizer.encode("x")]


@given(text=st.text(st.characters(exclude_characters="\0▁", exclude_categories=["Cs"])))
def test_sentencepiece_brings_text_back(released: Path, text: str) -> None:
    tokenizer = find_tokenizer(released)
    assert tokenizer.decode([*tokenizer.encode(text, start=True), tokenizer.end_id]) == text


def test_a_continuation_keeps_its_space_if_it_is_decoded_with_its_prompt(released: Path) -> None:
    tokenizer = find_tokenizer(released)
    prompt, whole = tokenizer.encode("x ="), tokenizer.encode("x = 1")
    rest = whole[len(prompt) :]
    assert whole[: len(prompt)] == prompt
    assert tokenizer.decode(whole)[len(tokenizer.decode(prompt)) :] == " 1"
    assert tokenizer.decode(rest) == "1"


def test_what_sentencepiece_saves_is_opened(released: Path, tmp_path: Path) -> None:
    tokenizer = find_tokenizer(released)
    again = open_tokenizer(tmp_path, tokenizer.save(tmp_path))
    assert again.encode("x = 1", start=True) == tokenizer.encode("x = 1", start=True)
    assert again.describe() == tokenizer.describe()


def test_sentencepiece_beside_published_ids_ends_with_those(released: Path, tmp_path: Path) -> None:
    find_tokenizer(released).save(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 5]}))
    assert find_tokenizer(tmp_path).end_ids == (2, 5)


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_a_file_that_is_no_sentencepiece_model_is_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("sentencepiece", reason="the extra hf is not installed")
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(ModelUnavailable, match="no SentencePiece model"):
        open_tokenizer(tmp_path / "tokenizer.model")


# ---------------------------------------------------------------------------------------------------------------------
# Published folders
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def published(bpe: FileTokenizer, tmp_path: Path) -> Path:
    bpe.save(tmp_path)
    return tmp_path


def write(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(values))


def test_what_a_model_is_run_with_is_right_where_its_shape_says_otherwise(published: Path) -> None:
    write(published / "config.json", bos_token_id=5, eos_token_id=6)
    assert (find_tokenizer(published).start_id, find_tokenizer(published).end_ids) == (5, (6,))
    write(published / "generation_config.json", eos_token_id=[6, 7], bos_token_id=None)
    assert (find_tokenizer(published).start_id, find_tokenizer(published).end_ids) == (5, (6, 7))


@pytest.mark.parametrize("written", ["<|end|>", {"content": "<|end|>", "lstrip": False}], ids=["text", "object"])
def test_tokens_are_found_by_their_text(published: Path, written: Any) -> None:
    write(published / "tokenizer_config.json", eos_token=written, bos_token=written, add_bos_token=True)
    assert (find_tokenizer(published).start_id, find_tokenizer(published).end_ids) == (0, (0,))


@pytest.mark.parametrize(
    ("said", "start_id"),
    [
        ({"add_bos_token": False, "tokenizer_class": "LlamaTokenizer"}, None),
        ({"add_bos_token": True, "tokenizer_class": "PreTrainedTokenizerFast"}, 5),
        ({"tokenizer_class": "LlamaTokenizerFast"}, 5),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, None),
    ],
    ids=str,
)
def test_texts_begin_as_the_folder_says(published: Path, said: dict[str, Any], start_id: int | None) -> None:
    write(published / "config.json", bos_token_id=5, eos_token_id=6)
    write(published / "tokenizer_config.json", **said)
    assert find_tokenizer(published).start_id == start_id


def test_texts_begin_as_the_tokenizer_itself_begins_them(published: Path) -> None:
    from tokenizers import Tokenizer as Implementation
    from tokenizers import processors

    write(published / "config.json", bos_token_id=0, eos_token_id=0)
    write(published / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    theirs = Implementation.from_file(str(published / "tokenizer.json"))
    theirs.post_processor = processors.TemplateProcessing(single="<|end|> $A", special_tokens=[("<|end|>", 0)])
    theirs.save(str(published / "tokenizer.json"))
    assert find_tokenizer(published).start_id == 0
    assert find_tokenizer(published).encode("a", start=True).count(0) == 1


def test_a_published_limit_cuts_no_prompt(bpe: Tokenizer, published: Path) -> None:
    from tokenizers import Tokenizer as Implementation

    write(published / "config.json", eos_token_id=0)
    theirs = Implementation.from_file(str(published / "tokenizer.json"))
    theirs.enable_truncation(3)
    theirs.enable_padding(length=9)
    theirs.save(str(published / "tokenizer.json"))
    assert find_tokenizer(published).encode("x") == bpe.encode("x")
    assert find_tokenizer(published).encode("x" * 20) == bpe.encode("x" * 20)


def test_a_file_is_opened_by_itself(bpe: Tokenizer, published: Path) -> None:
    write(published / "config.json", eos_token_id=0)
    assert open_tokenizer(published / "tokenizer.json").encode("a = 1") == bpe.encode("a = 1")
    assert open_tokenizer(published).end_id == open_tokenizer(published / "tokenizer.json", bpe.describe()).end_id


def test_ids_of_what_begins_and_ends_texts_have_no_text(bpe: Tokenizer, published: Path) -> None:
    letter = bpe.encode("q")[0]
    write(published / "config.json", bos_token_id=0, eos_token_id=letter)
    assert find_tokenizer(published).decode([0, *bpe.encode("a"), letter]) == "a"


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing ends": (lambda folder: None, "nothing says which token ends a text"),
    "no JSON": (lambda folder: (folder / "generation_config.json").write_text("{"), "config.json cannot be read"),
    "no object": (lambda folder: (folder / "config.json").write_text("[]"), "holds a JSON list"),
    "a text": (lambda folder: write(folder / "config.json", eos_token_id="2"), "'2' is to begin or end texts"),
    "too large": (lambda folder: write(folder / "config.json", eos_token_id=[0, 999]), "999 is to begin or end"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "no tokenizer file"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_published_folder_is_refused(published: Path, spoil: tuple[Callable[[Path], Any], str]) -> None:
    spoil[0](published)
    with pytest.raises(ModelUnavailable, match=spoil[1]):
        find_tokenizer(published)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="has no tokenizer"):
        find_tokenizer(tmp_path / "model")
