"""Models of every accepted layout, written here in that layout, answer as an independent reading of it says."""

from __future__ import annotations

import cmath
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import checkpoint
from models.backend import ModelUnavailable
from models.checkpoint import Loaded, export_llama, save
from models.layouts import meta_config
from models.mtp import HeadType, MTPConfig, MTPTransformer
from models.tokenizer import ByteTokenizer, train_bpe

# As published in third parties' descriptions of the 7B checkpoint that predicts four tokens.
PARAMS_7B = {
    "dim": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "n_kv_heads": 32,
    "n_future_tokens": 4,
    "rope_theta": 10000.0,
    "multiple_of": 256,
    "ffn_dim_multiplier": None,
    "norm_eps": 1e-5,
    "vocab_size": 32000,
}
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]])


def load(folder: Path, **how: Any) -> Loaded:
    """The packages that read published tokenizers are extras; bytes do for these."""
    return checkpoint.load(folder, tokenizer=ByteTokenizer(), **how)


def small_model(
    *, n: int = 3, head_type: HeadType = "transformer", num_kv_heads: int = 2, vocab_size: int = 257, seed: int = 0
) -> MTPTransformer:
    config = MTPConfig(
        vocab_size=vocab_size,
        dim=32,
        num_layers=4,
        num_heads=4,
        num_kv_heads=num_kv_heads,
        hidden_dim=48,
        num_future_tokens=n,
        head_type=head_type,
        max_positions=64,
        rope_theta=500.0,
        norm_eps=1e-3,
    )
    model = MTPTransformer(config)
    model.reset(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(8)
    return model.eval().requires_grad_(False)


def change(path: Path, **values: Any) -> None:
    """Changes values of a JSON file; the ellipsis takes one away."""
    content = json.loads(path.read_text())
    content |= values
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


def test_the_7b_layout_has_as_many_parameters_as_llama_7b() -> None:
    with torch.device("meta"):
        model = MTPTransformer(meta_config(PARAMS_7B, Path("7B_1T_4")))
    # Embedding and unembedding, 32 layers of attention, feed-forward and two norms, the last norm: Llama 7B's count.
    layer = 4 * 4096 * 4096 + 3 * 4096 * 11008 + 2 * 4096
    assert 2 * 32000 * 4096 + 32 * layer + 4096 == 6_738_415_616
    assert sum(weight.numel() for weight in model.parameters()) == 6_738_415_616
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert shapes["layers.28.feed_forward.w1.weight"] == (11008, 4096)
    assert shapes["extra_heads.2.attention.wo.weight"] == (4096, 4096)
    assert "layers.29.attention.wq.weight" not in shapes
    assert "extra_heads.3.attention.wq.weight" not in shapes


# ---------------------------------------------------------------------------------------------------------------------
# Meta's layout
# ---------------------------------------------------------------------------------------------------------------------

SMALL = {
    "dim": 32,
    "n_layers": 5,
    "n_heads": 4,
    "n_future_tokens": 3,
    "multiple_of": 16,
    "ffn_dim_multiplier": None,
    "norm_eps": 1e-3,
    "rope_theta": 500.0,
    "vocab_size": -1,
    "a_key_of_another_version": True,
}


def write_meta(folder: Path, *, dtype: torch.dtype = torch.float32, **changes: Any) -> dict[str, torch.Tensor]:
    """A checkpoint of that layout, made of numbers; the weights as they are in it."""
    params = {**SMALL, **changes}
    dim, hidden, vocabulary = params["dim"], 96, 64
    kv = dim // params["n_heads"] * params.get("n_kv_heads", params["n_heads"])
    n = params.get("n_future_tokens", 1)
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * 0.3).to(dtype)

    weights = {"tok_embeddings.weight": draw(vocabulary, dim), "norm.weight": draw(dim) + 1}
    blocks = [f"layers.{i}" for i in range(params["n_layers"] - n + 1)] + [f"extra_heads.{j}" for j in range(n - 1)]
    for block in blocks:
        weights[f"{block}.attention.wq.weight"] = draw(dim, dim)
        weights[f"{block}.attention.wk.weight"] = draw(kv, dim)
        weights[f"{block}.attention.wv.weight"] = draw(kv, dim)
        weights[f"{block}.attention.wo.weight"] = draw(dim, dim)
        weights[f"{block}.feed_forward.w1.weight"] = draw(hidden, dim)
        weights[f"{block}.feed_forward.w2.weight"] = draw(dim, hidden)
        weights[f"{block}.feed_forward.w3.weight"] = draw(hidden, dim)
        weights[f"{block}.attention_norm.weight"] = draw(dim) + 1
        weights[f"{block}.ffn_norm.weight"] = draw(dim) + 1
    weights["output.weight"] = draw(vocabulary, dim)
    weights["rope.freqs"] = draw(4)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / "consolidated.pth")
    (folder / "params.json").write_text(json.dumps(params))
    return weights


def meta_logits(weights: dict[str, torch.Tensor], params: dict[str, Any], tokens: list[int]) -> torch.Tensor:
    """Logits_TNV of the released model, written down once more: one position and one head at a time, every turn a
    complex number, in 64 bits."""
    w = {name: weight.double() for name, weight in weights.items()}
    heads, dim, n = params["n_heads"], params["dim"], params["n_future_tokens"]
    kv_heads, width = params.get("n_kv_heads", heads), dim // heads

    def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x / (x.pow(2).mean() + params["norm_eps"]).sqrt() * weight

    def turned(x: torch.Tensor, position: int) -> torch.Tensor:
        out = torch.empty_like(x)
        for pair in range(width // 2):
            angle = position * params["rope_theta"] ** (-2 * pair / width)
            z = complex(x[2 * pair], x[2 * pair + 1]) * cmath.exp(1j * angle)
            out[2 * pair], out[2 * pair + 1] = z.real, z.imag
        return out

    def block(name: str, xs: list[torch.Tensor]) -> list[torch.Tensor]:
        normed = [norm(x, w[f"{name}.attention_norm.weight"]) for x in xs]
        q, k, v = (
            [(w[f"{name}.attention.{part}.weight"] @ x).view(-1, width) for x in normed] for part in ("wq", "wk", "wv")
        )
        keys = [[turned(k[t][group], t) for group in range(kv_heads)] for t in range(len(xs))]
        out = []
        for t, x in enumerate(xs):
            mixed = []
            for head in range(heads):
                group = head // (heads // kv_heads)
                query = turned(q[t][head], t)
                scores = torch.stack([query @ keys[s][group] / width**0.5 for s in range(t + 1)]).softmax(0)
                mixed.append(sum(scores[s] * v[s][group] for s in range(t + 1)))
            x = x + w[f"{name}.attention.wo.weight"] @ torch.cat(mixed)
            y = norm(x, w[f"{name}.ffn_norm.weight"])
            gate = w[f"{name}.feed_forward.w1.weight"] @ y
            gate = gate * gate.sigmoid() * (w[f"{name}.feed_forward.w3.weight"] @ y)
            out.append(x + w[f"{name}.feed_forward.w2.weight"] @ gate)
        return out

    xs = [w["tok_embeddings.weight"][token] for token in tokens]
    last = params["n_layers"] - n
    for layer in range(last):
        xs = block(f"layers.{layer}", xs)
    states = [block(name, xs) for name in [f"layers.{last}", *(f"extra_heads.{j}" for j in range(n - 1))]]
    logits = [[w["output.weight"] @ norm(state[t], w["norm.weight"]) for state in states] for t in range(len(xs))]
    return torch.stack([torch.stack(row) for row in logits])


@pytest.mark.parametrize("n_kv_heads", [4, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_released_checkpoint_answers_as_its_layout_says(tmp_path: Path, dtype: torch.dtype, n_kv_heads: int) -> None:
    weights = write_meta(tmp_path, dtype=dtype, n_kv_heads=n_kv_heads)
    loaded = load(tmp_path, dtype=torch.float64)
    assert loaded.layout == "meta"
    expected = meta_logits(weights, {**SMALL, "n_kv_heads": n_kv_heads}, TOKENS[0].tolist())
    torch.testing.assert_close(loaded.model(TOKENS, return_all_heads=True)[0], expected, rtol=1e-9, atol=1e-9)
    assert loaded.model(TOKENS).shape == (1, 11, 1, 64)


def test_weights_keep_their_type_unless_another_is_asked_for(tmp_path: Path) -> None:
    write_meta(tmp_path, dtype=torch.float16)
    assert load(tmp_path).model.output.weight.dtype == torch.float16
    assert load(tmp_path, dtype=torch.float32).model.output.weight.dtype == torch.float32


def test_a_next_token_checkpoint_is_read_with_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_meta(tmp_path, n_future_tokens=1)
    with caplog.at_level(logging.INFO, logger="models.checkpoint"):
        assert load(tmp_path).model.config.num_future_tokens == 1
    assert "predicts the next token only" in caplog.text


def test_params_need_not_name_vocabulary_or_context(tmp_path: Path) -> None:
    write_meta(tmp_path)
    change(tmp_path / "params.json", vocab_size=...)
    config = load(tmp_path).model.config
    assert (config.vocab_size, config.max_positions) == (64, 4096)
    change(tmp_path / "params.json", max_seq_len=77)
    assert load(tmp_path).model.config.max_positions == 77


def test_a_type_that_holds_all_is_chosen_where_weights_are_of_several(tmp_path: Path) -> None:
    weights = write_meta(tmp_path, dtype=torch.bfloat16)
    torch.save({**weights, "norm.weight": weights["norm.weight"].float()}, tmp_path / "consolidated.pth")
    assert {weight.dtype for weight in load(tmp_path).model.parameters()} == {torch.float32}


def test_a_loaded_model_outlives_its_files(tmp_path: Path) -> None:
    write_meta(tmp_path)
    model = load(tmp_path).model
    before = model(TOKENS)
    path = tmp_path / "consolidated.pth"
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(model(TOKENS), before)
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


def without(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        weights = torch.load(folder / "consolidated.pth")
        del weights[name]
        torch.save(weights, folder / "consolidated.pth")

    return spoil


def params(**values: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / "params.json", **values)


def rewritten(rewrite: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    path = "consolidated.pth"
    return lambda folder: torch.save(rewrite(torch.load(folder / path)), folder / path)


def no_heads(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in weights.items() if not name.startswith("extra_heads")}


def cut(folder: Path) -> None:
    path = folder / "consolidated.pth"
    path.write_bytes(path.read_bytes()[:1000])


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a weight is missing": (
        without("extra_heads.1.attention.wo.weight"),
        "lacks the weight extra_heads.1.attention.wo",
    ),
    "all heads are missing": (rewritten(no_heads), r"extra_heads\.0\.attention\.wq\.weight.* and 15 more"),
    "heads without a word": (params(n_future_tokens=...), "lacks the weight layers.3"),
    "heads that are not wanted": (params(n_future_tokens=1, n_layers=3), "has the weight extra_heads.* no place"),
    "fewer layers than there are": (params(n_layers=4), "has the weight layers.2.* no place"),
    "no embedding": (without("tok_embeddings.weight"), "no matrix tok_embeddings.weight"),
    "whole numbers": (rewritten(lambda all: {**all, "norm.weight": torch.ones(32, dtype=torch.int8)}), "as int8"),
    "a list": (rewritten(lambda all: list(all.values())), "holds a list"),
    "torn": (cut, "consolidated.pth cannot be read"),
    "empty": (lambda folder: (folder / "consolidated.pth").write_bytes(b""), "consolidated.pth cannot be read"),
    "no weights": (lambda folder: (folder / "consolidated.pth").unlink(), "no consolidated.pth"),
    "no JSON": (lambda folder: (folder / "params.json").write_text("{"), "params.json cannot be read"),
    "no object": (lambda folder: (folder / "params.json").write_text("[]"), "holds a JSON list"),
    "no shape": (lambda folder: (folder / "params.json").write_text('{"dim": 32}'), "it lacks 'n_layers'"),
    "a text for a number": (params(dim="32"), "params.json does not describe a model"),
    "no whole number": (params(n_layers=5.5), "num_layers is 5.5; accepted: int"),
    "no width": (params(multiple_of=0), "params.json does not describe a model"),
    "another shape": (params(dim=64), r"is \[64, 32\], not \[64, 64\]"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_checkpoint_is_refused_with_the_reason(tmp_path: Path, spoil: tuple[Callable[..., Any], str]) -> None:
    write_meta(tmp_path)
    spoil[0](tmp_path)
    with pytest.raises(ModelUnavailable, match=spoil[1]):
        load(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="is no folder"):
        load(tmp_path / "absent")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"neither config.json .* nor params.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ModelUnavailable, match="kind 'gpt2'"):
        load(tmp_path)


_MEMORY = """
import pathlib, sys
from models.checkpoint import load
from models.tokenizer import ByteTokenizer

def most():
    # Not ru_maxrss, which a child inherits from whoever started it.
    return 1024 * int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))

load(pathlib.Path(sys.argv[1]), tokenizer=ByteTokenizer())  # what torch itself takes the first time
before = most()
model = load(pathlib.Path(sys.argv[2]), tokenizer=ByteTokenizer()).model
print(sum(weight.numel() * weight.element_size() for weight in model.parameters()), most() - before)
"""


def memory(small: Path, large: Path) -> tuple[int, int]:
    """(bytes of the large model, by how much reading it raises the most memory there ever was)."""
    command = [sys.executable, "-c", _MEMORY, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    size, raised = map(int, done.stdout.split())
    return size, raised


@pytest.mark.slow
def test_a_released_checkpoint_is_in_memory_once_while_it_is_read(tmp_path: Path) -> None:
    write_meta(tmp_path / "small")
    write_meta(tmp_path / "large", dim=1024, n_heads=16, n_layers=12)
    size, raised = memory(tmp_path / "small", tmp_path / "large")
    assert size > 200_000_000
    assert raised < 1.3 * size


@pytest.mark.slow
def test_a_llama_folder_is_in_memory_once_while_it_is_read(tmp_path: Path) -> None:
    export_llama(small_model(n=1), ByteTokenizer(), tmp_path / "small")
    config = MTPConfig(vocab_size=257, dim=1024, num_layers=12, num_heads=16, num_kv_heads=16, hidden_dim=512)
    export_llama(MTPTransformer(config), ByteTokenizer(), tmp_path / "large")
    size, raised = memory(tmp_path / "small", tmp_path / "large")
    assert size > 200_000_000
    assert raised < 1.3 * size


# ---------------------------------------------------------------------------------------------------------------------
# Our own
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("head_type", ["transformer", "causal", "anticausal", "linear", "replicated"])
def test_what_is_saved_is_loaded(tmp_path: Path, head_type: HeadType, n: int) -> None:
    model = small_model(n=n, head_type=head_type)
    save(model, ByteTokenizer(), tmp_path / "model", dtype=torch.float32, card="# A card\n")
    loaded = load(tmp_path / "model")
    assert loaded.layout == "own"
    assert loaded.model.config == model.config
    assert torch.equal(loaded.model(TOKENS, return_all_heads=True), model(TOKENS, return_all_heads=True))
    assert isinstance(checkpoint.load(tmp_path / "model").tokenizer, ByteTokenizer)
    assert (tmp_path / "model" / "README.md").read_text() == "# A card\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_digest_tells_models_apart_and_knows_them_again(tmp_path: Path) -> None:
    for place, seed in (("a", 1), ("b", 1), ("c", 2)):
        save(small_model(seed=seed), ByteTokenizer(), tmp_path / place)
    one, same, other = (load(tmp_path / place).digest for place in "abc")
    assert one == same != other


def test_saving_again_replaces_the_model_and_leaves_what_else_is_there(tmp_path: Path) -> None:
    save(small_model(seed=1), ByteTokenizer(), tmp_path / "m")
    (tmp_path / "m" / "metrics.jsonl").write_text("{}\n")
    (tmp_path / "m" / "data").mkdir()
    (tmp_path / "m" / "data" / "tokens").write_text("1 2")
    save(small_model(seed=2), ByteTokenizer(), tmp_path / "m", dtype=torch.float32)
    assert (tmp_path / "m" / "metrics.jsonl").read_text() == "{}\n"
    assert (tmp_path / "m" / "data" / "tokens").read_text() == "1 2"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert torch.equal(load(tmp_path / "m").model(TOKENS), small_model(seed=2)(TOKENS))


class Unwilling(ByteTokenizer):
    def save(self, folder: Path) -> dict[str, Any]:
        raise OSError("the disk is full")


@pytest.mark.parametrize("write", [save, export_llama])
def test_a_failure_to_write_leaves_the_older_folder_as_it_was(tmp_path: Path, write: Callable[..., None]) -> None:
    write(small_model(n=1, seed=1), ByteTokenizer(), tmp_path / "m")
    (tmp_path / "m" / "metrics.jsonl").write_text("{}\n")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    with pytest.raises(OSError, match="full"):
        write(small_model(n=1, seed=2), Unwilling(), tmp_path / "m")
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("write", [save, export_llama])
def test_a_tokenizer_that_is_too_large_is_not_written(tmp_path: Path, write: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="vocab_size = 257"):
        write(small_model(n=1, vocab_size=256), ByteTokenizer(), tmp_path / "m")


def shape(**values: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        model = json.loads((folder / "config.json").read_text())["model"]
        change(folder / "config.json", model={**model, **values})

    return spoil


def described(**values: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / "config.json", **values)


def torn(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


DAMAGED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "unknown part": (shape(width=3), "unknown width"),
    "no whole number": (shape(dim=32.0), "dim is 32.0; accepted: int"),
    "a text": (shape(norm_eps="small"), "norm_eps is 'small'; accepted: float"),
    "no number": (shape(rope_theta=float("nan")), "rope_theta must be a number above 0"),
    "more than there can be": (shape(dim=2**62), "cannot be"),
    "unknown head": (shape(head_type="tree"), "unknown head_type 'tree'"),
    "another head": (shape(head_type="replicated"), "lacks the weight"),
    "no model": (described(model=...), '"model" is None'),
    "unknown tokenizer": (described(tokenizer={"type": "words"}), "unknown tokenizer 'words'"),
    "no tokenizer": (described(tokenizer="bytes"), "unknown tokenizer 'bytes'; accepted: an object"),
    "a tokenizer from elsewhere": (described(tokenizer={"type": "tokenizers", "file": "../t.json"}), "name of a file"),
    "small vocabulary": (shape(vocab_size=200), "the tokenizer has 257 tokens, the model only 200"),
    "another format": (described(format="mtp-harness/model/9"), "kind 'mtp-harness/model/9'"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
    "torn": (torn, "model.safetensors cannot be read"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors cannot be read"),
}


@pytest.mark.parametrize("spoil", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_folder_of_ours_is_refused_with_the_reason(
    tmp_path: Path, spoil: tuple[Callable[..., Any], str]
) -> None:
    save(small_model(), ByteTokenizer(), tmp_path / "m")
    spoil[0](tmp_path / "m")
    with pytest.raises(ModelUnavailable, match=spoil[1]):
        checkpoint.load(tmp_path / "m")


# ---------------------------------------------------------------------------------------------------------------------
# Llama folders
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head_type", ["transformer", "causal", "replicated"])
@pytest.mark.parametrize("n", [1, 3])
def test_the_path_to_the_next_token_survives_as_a_llama_folder(tmp_path: Path, n: int, head_type: HeadType) -> None:
    model = small_model(n=n, head_type=head_type)
    export_llama(model, ByteTokenizer(), tmp_path)
    loaded = checkpoint.load(tmp_path)
    assert loaded.layout == "llama"
    assert loaded.model.config.num_future_tokens == 1
    assert isinstance(loaded.tokenizer, ByteTokenizer)
    torch.testing.assert_close(loaded.model(TOKENS), model(TOKENS), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head_type", ["anticausal", "linear"])
def test_heads_that_no_llama_model_has_are_refused(tmp_path: Path, head_type: HeadType) -> None:
    with pytest.raises(ValueError, match=f"{head_type} heads"):
        export_llama(small_model(head_type=head_type), ByteTokenizer(), tmp_path)


def test_a_bpe_model_survives_as_a_llama_folder_with_its_tokenizer(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the extra hf is not installed")
    tokenizer = train_bpe(["def add(a, b):\n"] * 4, 280)
    export_llama(small_model(n=1, vocab_size=300), tokenizer, tmp_path)
    found = checkpoint.load(tmp_path).tokenizer
    assert found.encode("add(b)", start=True) == tokenizer.encode("add(b)", start=True)
    assert (found.start_id, found.end_ids) == (tokenizer.start_id, tokenizer.end_ids)


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    export_llama(small_model(n=1), ByteTokenizer(), tmp_path)
    return tmp_path


def in_two_files(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"model-{1 + number % 2}-of-2.safetensors" for number, name in enumerate(sorted(weights))}
    for file in set(places.values()):
        save_file({name: weights[name] for name in weights if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def test_weights_in_several_files_are_read(llama: Path) -> None:
    before = load(llama).model(TOKENS)
    in_two_files(llama)
    assert torch.equal(load(llama).model(TOKENS), before)


def test_one_file_is_read_and_not_the_index_of_an_older_model(llama: Path) -> None:
    before = load(llama).model(TOKENS)
    (llama / "model.safetensors.index.json").write_text('{"weight_map": {"a": "older-1-of-2.safetensors"}}')
    assert torch.equal(load(llama).model(TOKENS), before)


def tie(folder: Path, *, keep: bool) -> torch.Tensor:
    """Says that embedding and unembedding are one, and takes the second away or leaves it; the one they are."""
    weights = load_file(folder / "model.safetensors")
    if not keep:
        del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors")
    change(folder / "config.json", tie_word_embeddings=True)
    return weights["model.embed_tokens.weight"]


def test_tied_embeddings_are_read(llama: Path) -> None:
    embedding = tie(llama, keep=False)
    model = load(llama).model
    assert torch.equal(model.output.weight, embedding)
    assert torch.equal(model.tok_embeddings.weight, embedding)


def rewritten_llama(rewrite: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        save_file(rewrite(load_file(folder / "model.safetensors")), folder / "model.safetensors")

    return spoil


def index(content: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    return spoil


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "llama3 scaling": (described(rope_scaling={"rope_type": "llama3", "factor": 8.0}), "needs rope_scaling"),
    "linear scaling": (described(rope_scaling={"type": "linear", "factor": 2.0}), "needs rope_scaling"),
    "unnamed scaling": (described(rope_scaling={"factor": 2.0}), "needs rope_scaling"),
    "scaling, named anew": (described(rope_parameters={"rope_type": "yarn"}), "needs rope_parameters"),
    "partial rotation": (described(rope_parameters={"partial_rotary_factor": 0.5}), "needs rope_parameters"),
    "attention bias": (described(attention_bias=True), "needs attention_bias"),
    "mlp bias": (described(mlp_bias=True), "needs mlp_bias"),
    "another activation": (described(hidden_act="gelu"), "needs hidden_act"),
    "wide heads": (described(head_dim=16), "needs head_dim"),
    "quantised": (described(quantization_config={"bits": 4}), "needs quantization_config"),
    "a stored bias": (
        rewritten_llama(lambda all: {**all, "model.layers.0.self_attn.q_proj.bias": torch.ones(32)}),
        "q_proj.bias, which a model as described beside it has no place for",
    ),
    "fewer layers than there are": (described(num_hidden_layers=3), r"has the weight model\.layers\.3"),
    "more layers than there are": (described(num_hidden_layers=5), r"lacks the weight model\.layers\.4"),
    "no unembedding": (
        rewritten_llama(lambda all: {name: all[name] for name in all if name != "lm_head.weight"}),
        r"lacks the weight lm_head\.weight",
    ),
    "tied and unlike": (lambda folder: tie(folder, keep=True), "says tie_word_embeddings"),
    "no width": (described(hidden_size=...), "it lacks 'hidden_size'"),
    "no heads": (described(num_attention_heads=0), "num_heads must be 1 or more"),
    "another width": (described(num_key_value_heads=4), r"k_proj\.weight is \[16, 32\], not \[32, 32\]"),
    "a list of files": (index({"weight_map": ["a"]}), "has no weight_map"),
    "a number for a file": (index({"weight_map": {"a": 3}}), "has no weight_map"),
    "a file elsewhere": (index({"weight_map": {"a": "../b"}}), "has no weight_map"),
    "a missing file": (index({"weight_map": {"a": "b.safetensors"}}), "b.safetensors cannot be read"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "neither model.safetensors nor"),
    "torn": (torn, "model.safetensors cannot be read"),
}


@pytest.mark.parametrize("spoil", REFUSED.values(), ids=REFUSED)
def test_a_llama_folder_that_would_be_read_wrongly_is_refused(
    llama: Path, spoil: tuple[Callable[..., Any], str]
) -> None:
    spoil[0](llama)
    with pytest.raises(ModelUnavailable, match=spoil[1]):
        load(llama)


@pytest.mark.parametrize(
    "harmless",
    [
        {"head_dim": None},
        {"rope_scaling": None},
        {"rope_scaling": {"rope_type": "default"}},
        {"rope_theta": ..., "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}},
        {"num_key_value_heads": 2, "pretraining_tp": 1},
    ],
    ids=str,
)
def test_what_says_nothing_new_is_read(llama: Path, harmless: dict[str, Any]) -> None:
    before = load(llama).model(TOKENS)
    change(llama / "config.json", **harmless)
    assert torch.equal(load(llama).model(TOKENS), before)


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
def test_transformers_gives_an_exported_model_the_same_logits(tmp_path: Path, num_kv_heads: int) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
    model = small_model(n=2, num_kv_heads=num_kv_heads)
    export_llama(model, ByteTokenizer(), tmp_path)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(TOKENS).logits, model(TOKENS)[:, :, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tied", [False, True])
def test_a_model_that_transformers_saves_has_the_same_logits(tmp_path: Path, tied: bool) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=tied,
            initializer_range=0.3,
        )
    ).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    with torch.no_grad():
        torch.testing.assert_close(load(tmp_path).model(TOKENS)[:, :, 0], theirs(TOKENS).logits, rtol=1e-4, atol=1e-4)
