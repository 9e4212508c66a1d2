"""transformers as a backend: real small models, built here."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from small import small_model

from models.backend import Completion, ModelUnavailable, Request, Sampling
from models.catalog import Options, open_model
from models.checkpoint import export_llama
from models.sampling import choose, noise_keys
from models.tokenizer import train_bpe

transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")

TEXTS = ["def add(a, b):\n    return a + b\n", "for i in range(3):\n    print(i)\n"] * 4
PROMPTS = ["def add", "for i in range(3):\n    pr", "x", "return a + b\n" * 4]
SAMPLING = Sampling(temperature=0.8, top_p=0.9, max_new_tokens=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("llama")
    tokenizer = train_bpe(TEXTS, 300, place)
    export_llama(small_model(n=1, vocab_size=tokenizer.vocab_size, spread=0.3, dtype=torch.float32), tokenizer, place)
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(place / "tokenizer.json"), eos_token="<|end|>", bos_token="<|end|>", pad_token="<|end|>"
    )
    wrapped.save_pretrained(place)
    return place


def answers(folder: Path, sampling: Sampling, *, batch_size: int = 4, samples: int = 2) -> dict[Any, Completion]:
    backend = open_model(f"hf:{folder}", Options(batch_size=batch_size, dtype="float64"))
    requests = [
        Request(task_id=f"t{place}", index=index, prompt=prompt, seed=100 * place + index)
        for place, prompt in enumerate(PROMPTS)
        for index in range(samples)
    ]
    found = list(backend.generate(requests, sampling))
    assert len(found) == len(requests)
    return {(one.task_id, one.index): one for one in found if isinstance(one, Completion)}


def by_hand(folder: Path, prompt: str, sampling: Sampling, seed: int) -> list[int]:
    """The same, one text, no cache, none of the library's loop."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = tokenizer(prompt)["input_ids"]
    written: list[int] = []
    while len(written) < sampling.max_new_tokens:
        with torch.no_grad():
            logits = model(torch.tensor([text])).logits[:, -1]
        keys = noise_keys(torch.tensor([seed]), torch.tensor([len(text)]))
        token = int(choose(logits.float(), sampling, keys).tokens_R)
        text.append(token)
        written.append(token)
        if token == tokenizer.eos_token_id:
            break
    return written


@pytest.mark.parametrize("sampling", [SAMPLING, dataclasses.replace(SAMPLING, temperature=0.0)], ids=["T0.8", "greedy"])
def test_answers_are_what_the_model_and_the_seed_say(folder: Path, sampling: Sampling) -> None:
    found = answers(folder, sampling, samples=1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for place, prompt in enumerate(PROMPTS):
        tokens = by_hand(folder, prompt, sampling, 100 * place)
        assert found[f"t{place}", 0].num_tokens == len(tokens)
        assert found[f"t{place}", 0].text == tokenizer.decode(tokens, skip_special_tokens=True)


def test_a_sample_does_not_depend_on_its_batch(folder: Path) -> None:
    one, four, all_together = (answers(folder, SAMPLING, batch_size=size) for size in (1, 4, 64))
    assert one == four == all_together
    assert len({answer.text for answer in one.values()}) == len(one)


def test_a_stop_string_ends_the_text_before_it(folder: Path) -> None:
    free = answers(folder, SAMPLING)
    key = next(key for key, answer in free.items() if len(answer.text) > 6)
    stop = free[key].text[3:5]
    found = answers(folder, dataclasses.replace(SAMPLING, stops=(stop,)))
    for other, answer in found.items():
        assert answer.text == free[other].text.split(stop)[0]
    assert found[key].finish_reason == "stop"
    assert (found[key].num_tokens or 0) < (free[key].num_tokens or 0)


def test_the_length_ends_a_text(folder: Path) -> None:
    for answer in answers(folder, dataclasses.replace(SAMPLING, max_new_tokens=3)).values():
        assert answer.num_tokens == 3 or answer.finish_reason == "stop"


def test_the_end_of_the_context_ends_a_text(folder: Path) -> None:
    found = answers(folder, dataclasses.replace(SAMPLING, max_new_tokens=1000), samples=1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for place, prompt in enumerate(PROMPTS):
        room = 128 - len(tokenizer(prompt)["input_ids"])
        assert (found[f"t{place}", 0].num_tokens or 0) <= room
        assert (found[f"t{place}", 0].num_tokens == room) or found[f"t{place}", 0].finish_reason == "stop"


def test_what_a_models_own_settings_say_of_sampling_does_not_count(folder: Path, tmp_path: Path) -> None:
    import shutil

    place = tmp_path / "opinionated"
    shutil.copytree(folder, place)
    config = transformers.GenerationConfig(do_sample=True, top_k=1, temperature=0.01, repetition_penalty=2.0)
    config.save_pretrained(place)
    assert answers(place, SAMPLING) == answers(folder, SAMPLING)


def test_facts_name_the_model_by_its_files(folder: Path) -> None:
    facts = open_model(f"hf:{folder}", Options()).facts()
    assert len(facts["digest"]) == 64
    assert facts["dtype"] == "float32"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        open_model(f"hf:{tmp_path}", Options())
