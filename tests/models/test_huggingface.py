"""transformers as a backend: real small models with random weights, built here."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from scipy import stats

from models.backend import Completion, ModelUnavailable, Request, Sampling
from models.catalog import Options, open_model
from models.huggingface import HuggingFaceBackend
from models.sampling import choose, noise_keys

CONTEXT = 96
END = "<|end|>"
PROMPTS = ["def add", "for i in range(3):\n    pr", "x", "return a + b\n" * 3, ""]
SAMPLING = Sampling(temperature=0.8, top_p=0.9, max_new_tokens=20)
GREEDY = Sampling(max_new_tokens=20)


def test_without_transformers_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'mtp-harness\[hf\]'"):
        open_model("hf:anything", Options())


@pytest.fixture(scope="session")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="the extra hf is not installed")


def save_model(transformers: Any, place: Path, vocab_size: int, **choices: Any) -> Any:
    """A small Llama with weights so large that its answers differ."""
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
        **choices,
    )
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(place)
    return model


def save_tokenizer(transformers: Any, place: Path, tokenizer: Any) -> None:
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END
    )
    wrapped.save_pretrained(place)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, transformers: Any) -> Path:
    """A model whose tokens are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    place = tmp_path_factory.mktemp("bytes")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={END: 0, **{byte: 1 + i for i, byte in enumerate(alphabet)}}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    save_tokenizer(transformers, place, tokenizer)
    save_model(transformers, place, 257)
    return place


WORDS = ["a", "b", "c", "return", "x", "y"]


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory, transformers: Any) -> Path:
    """A model whose tokens are words with a space before each, as SentencePiece has them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    place = tmp_path_factory.mktemp("words")
    vocab = {token: i for i, token in enumerate([END, "<unk>", *(f"▁{word}" for word in WORDS)])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    # By itself, a word is decoded without the space before it.
    assert tokenizer.decode([4, 5]) == "c return"
    save_tokenizer(transformers, place, tokenizer)
    save_model(transformers, place, len(vocab))
    return place


def requests(samples: int = 2, prompts: list[str] = PROMPTS) -> list[Request]:
    return [
        Request(task_id=f"t{place}", index=index, prompt=prompt, seed=(1 << 50) + 100 * place + index)
        for place, prompt in enumerate(prompts)
        for index in range(samples)
    ]


def answered(backend: HuggingFaceBackend, wanted: list[Request], sampling: Sampling) -> dict[Any, Completion]:
    found = list(backend.generate(wanted, sampling))
    assert len(found) == len(wanted)
    return {(one.task_id, one.index): one for one in found}


def answers(
    folder: Path, sampling: Sampling, wanted: list[Request] | None = None, **choices: Any
) -> dict[Any, Completion]:
    backend = HuggingFaceBackend(str(folder), device="cpu", **choices)
    return answered(backend, requests() if wanted is None else wanted, sampling)


def by_hand(transformers: Any, folder: Path, request: Request, sampling: Sampling) -> list[int]:
    """The same: one text, no padding, no cache, none of the library's loop."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    text = transformers.AutoTokenizer.from_pretrained(folder)(request.prompt)["input_ids"] or [0]
    written: list[int] = []
    while len(written) < sampling.max_new_tokens and written[-1:] != [0]:
        with torch.no_grad():
            logits = model(torch.tensor([text + written])).logits[:, -1]
        keys = noise_keys(torch.tensor([request.seed]), torch.tensor([len(text + written)]))
        written.append(int(choose(logits, sampling, keys).tokens_R))
    return written


# ---------------------------------------------------------------------------------------------------------------------
# Which text
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", [SAMPLING, GREEDY, dataclasses.replace(SAMPLING, top_k=3)])
def test_answers_are_what_the_model_and_the_seed_say(transformers: Any, folder: Path, sampling: Sampling) -> None:
    found = answers(folder, sampling)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for request in requests():
        tokens = by_hand(transformers, folder, request, sampling)
        answer = found[request.task_id, request.index]
        assert answer.num_tokens == len(tokens)
        assert answer.text == tokenizer.decode(tokens, skip_special_tokens=True)
        assert answer.finish_reason == ("stop" if tokens[-1] == 0 else "length")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sample_does_not_depend_on_its_batch(folder: Path, dtype: str) -> None:
    wanted = requests(3)
    one, three, together = (answers(folder, SAMPLING, wanted, batch_size=size, dtype=dtype) for size in (1, 3, 64))
    assert one == three == together
    assert len({answer.text for answer in one.values()}) > len(wanted) / 2


def test_a_sample_does_not_depend_on_the_order_of_the_requests(folder: Path) -> None:
    assert answers(folder, SAMPLING, requests()[::-1]) == answers(folder, SAMPLING)


def test_tokens_of_nearly_the_same_logits_are_chosen_by_the_text_alone(
    transformers: Any, folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "twins"
    shutil.copytree(folder, place)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():  # every second token is its neighbour, but for the last digits
        model.lm_head.weight[2::2] = model.lm_head.weight[1::2] * (1 + 2e-7)
    model.save_pretrained(place)
    backends = [HuggingFaceBackend(str(place), device="cpu", batch_size=size) for size in (1, 3, 64)]
    one, three, together = (answered(backend, requests(), GREEDY) for backend in backends)
    assert one == three == together
    assert all(backend.statistics()["close_calls"] > 0 for backend in backends)


def test_tokens_are_drawn_as_often_as_the_model_says(transformers: Any, words: Path) -> None:
    sampling = Sampling(temperature=1.5, top_k=5, max_new_tokens=1)
    prompt, count = "return x", 1500
    wanted = [Request(task_id="t", index=index, prompt=prompt, seed=7919 * index) for index in range(count)]
    found = answers(words, sampling, wanted, batch_size=500)
    model = transformers.AutoModelForCausalLM.from_pretrained(words).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(words)
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1]
    best = logits.topk(sampling.top_k)
    expected = (best.values.double() / sampling.temperature).softmax(0).numpy() * count
    texts = ["" if token == 0 else f" {tokenizer.decode([token])}" for token in best.indices.tolist()]
    counts = numpy.array([sum(answer.text == text for answer in found.values()) for text in texts])
    assert counts.sum() == count
    assert stats.chisquare(counts, expected).pvalue > 0.001


def test_what_a_models_own_settings_say_of_sampling_does_not_count(
    transformers: Any, folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "opinionated"
    shutil.copytree(folder, place)
    settings = transformers.GenerationConfig(
        do_sample=True, top_k=1, temperature=0.01, repetition_penalty=2.0, max_new_tokens=2, eos_token_id=0
    )
    settings.save_pretrained(place)
    assert answers(place, SAMPLING) == answers(folder, SAMPLING)


def test_a_space_at_the_beginning_of_an_answer_is_kept(words: Path) -> None:
    found = answers(words, Sampling(temperature=2.0, max_new_tokens=5), requests(8, ["return x"]))
    written = [answer.text for answer in found.values() if answer.text]
    assert len(written) > 3
    assert all(text.startswith(" ") for text in written)


# ---------------------------------------------------------------------------------------------------------------------
# Where it ends
# ---------------------------------------------------------------------------------------------------------------------


def test_a_stop_string_ends_the_text_before_it(folder: Path) -> None:
    free = answers(folder, SAMPLING)
    key = next(key for key, answer in free.items() if len(answer.text) > 6)
    stop = free[key].text[3:5]
    found = answers(folder, dataclasses.replace(SAMPLING, stops=("never", stop)))
    for other, answer in found.items():
        assert answer.text == free[other].text.split(stop)[0]
    assert found[key].finish_reason == "stop"
    assert (found[key].num_tokens or 0) < (free[key].num_tokens or 0)


def test_the_models_own_end_ends_a_text(folder: Path) -> None:
    found = answers(folder, Sampling(temperature=1.5, max_new_tokens=60), requests(30), batch_size=64)
    ended = [answer for answer in found.values() if answer.finish_reason == "stop"]
    assert ended
    assert all(END not in answer.text and (answer.num_tokens or 0) <= 60 for answer in ended)


def test_any_of_several_ends_that_a_model_names_ends_a_text(transformers: Any, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "ends"
    shutil.copytree(folder, place)
    first = by_hand(transformers, folder, requests()[0], GREEDY)[0]
    transformers.GenerationConfig(eos_token_id=[0, first]).save_pretrained(place)
    answer = answers(place, GREEDY)["t0", 0]
    assert (answer.finish_reason, answer.num_tokens) == ("stop", 1)


def test_the_length_ends_a_text(folder: Path) -> None:
    found = answers(folder, dataclasses.replace(SAMPLING, max_new_tokens=3))
    assert {answer.num_tokens for answer in found.values() if answer.finish_reason == "length"} == {3}


def test_the_end_of_the_context_ends_a_text(transformers: Any, folder: Path) -> None:
    found = answers(folder, dataclasses.replace(GREEDY, max_new_tokens=1000))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    cut = [answer for answer in found.values() if answer.finish_reason == "length"]
    assert cut
    for answer in cut:
        prompt = PROMPTS[int(answer.task_id.removeprefix("t"))]
        assert answer.num_tokens == CONTEXT - max(len(tokenizer(prompt)["input_ids"]), 1)


def test_of_a_prompt_that_leaves_no_room_the_end_is_used_and_counted(folder: Path) -> None:
    sampling = dataclasses.replace(SAMPLING, max_new_tokens=5)
    backend = HuggingFaceBackend(str(folder), device="cpu")
    kept = "y" * (CONTEXT - 5)
    short, long = backend.generate(requests(1, [kept, "x" * CONTEXT + kept]), sampling)
    assert backend.statistics()["cut_prompts"] == 1
    assert (short.num_tokens, long.num_tokens) == (5, 5)


def test_an_end_that_a_tokenizer_adds_to_prompts_is_left_out(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "ending"
    shutil.copytree(folder, place)
    described = json.loads((place / "tokenizer.json").read_text())
    described["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END, "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {END: {"id": END, "ids": [0], "tokens": [END]}},
    }
    (place / "tokenizer.json").write_text(json.dumps(described))
    settings = json.loads((place / "tokenizer_config.json").read_text())
    (place / "tokenizer_config.json").write_text(json.dumps({**settings, "bos_token": None}))
    assert answers(place, SAMPLING, requests(2, PROMPTS[:4])) == answers(folder, SAMPLING, requests(2, PROMPTS[:4]))


# ---------------------------------------------------------------------------------------------------------------------
# What it says of itself, and what is refused
# ---------------------------------------------------------------------------------------------------------------------


def test_facts_name_the_model_by_its_files(transformers: Any, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "other"
    shutil.copytree(folder, place)
    facts, same = (open_model(f"hf:{where}", Options(device="cpu")).facts() for where in (folder, place))
    assert len(facts["digest"]) == 64
    assert (facts["model"], facts["dtype"], facts["device"]) == (f"hf:{folder}", "float32", "cpu")
    assert same["digest"] == facts["digest"]
    weights = place / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert open_model(f"hf:{place}", Options(device="cpu")).facts()["digest"] != facts["digest"]


def test_statistics_count_what_was_written(folder: Path) -> None:
    backend = HuggingFaceBackend(str(folder), device="cpu", batch_size=2)
    found = answered(backend, requests(1), SAMPLING)
    counts = backend.statistics()
    assert counts["completions"] == len(found)
    assert counts["tokens"] == sum(answer.num_tokens or 0 for answer in found.values())
    assert counts["prompt_tokens"] == sum(max(len(prompt), 1) for prompt in PROMPTS)


def test_a_folder_without_a_model_is_refused(transformers: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        open_model(f"hf:{tmp_path}", Options(device="cpu"))


def test_weights_that_are_missing_are_not_made_up(transformers: Any, folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    place = tmp_path / "gaps"
    shutil.copytree(folder, place)
    weights = load_file(place / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"lacks 1 weights .*layers\.1\.mlp\.up_proj"):
        open_model(f"hf:{place}", Options(device="cpu"))


def test_weights_that_a_model_shares_are_not_missing(transformers: Any, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "tied"
    shutil.copytree(folder, place)
    save_model(transformers, place, 257, tie_word_embeddings=True)
    assert len(answers(place, SAMPLING)) == len(requests())


def test_code_that_comes_with_a_model_is_neither_run_nor_asked_about(
    transformers: Any, folder: Path, tmp_path: Path
) -> None:
    place, trace = tmp_path / "code", tmp_path / "trace"
    shutil.copytree(folder, place)
    described = json.loads((place / "config.json").read_text())
    described |= {"model_type": "odd", "auto_map": {"AutoConfig": "odd.Odd", "AutoModelForCausalLM": "odd.Odd"}}
    (place / "config.json").write_text(json.dumps(described))
    (place / "odd.py").write_text(f"open({str(trace)!r}, 'w')\nclass Odd: pass\n")
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        open_model(f"hf:{place}", Options(device="cpu"))
    assert not trace.exists()


def test_a_device_that_is_not_there_is_refused(transformers: Any, folder: Path) -> None:
    with pytest.raises(ModelUnavailable, match="--device"):
        open_model(f"hf:{folder}", Options(device="odd"))
