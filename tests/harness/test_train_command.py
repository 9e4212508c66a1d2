"""A recipe becomes a model that can be asked."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from models.token_files import digest

RECIPE = """
[model]
dim = 32
num_layers = 3
num_heads = 2
num_kv_heads = 2
hidden_dim = 64
num_future_tokens = 2
max_positions = 512

[data]
items = 60
prompt_weight = 0.1

[training]
steps = 6
batch_size = 2
length = 64
warmup = 2
device = "cpu"
"""


def recipe(folder: Path, text: str = RECIPE) -> Path:
    path = folder / "small.toml"
    path.write_text(text)
    return path


def test_a_trained_model_writes_samples_that_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out")]) == 0
    model = tmp_path / "out" / "model"
    assert capsys.readouterr().out.strip() == str(model)
    card = (model / "README.md").read_text()
    assert "2 future tokens" in card
    assert "losses per head at the end" in card
    run = ["run", "--task", "mini", "--limit", "4", "--model", f"mtp:{model}", "-n", "2", "--max-new-tokens", "20"]
    assert main([*run, "--out", str(tmp_path / "run"), "--engine", "serial", "--device", "cpu"]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["tasks"]["mini"]["samples"] == 8
    assert results["decoding"]["completions"] == 8
    assert results["decoding"]["tokens_per_forward"] >= 1
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["config"]["model_digest"]


def test_a_finished_run_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    weights = (tmp_path / "out" / "model" / "model.safetensors").read_bytes()
    assert main(command) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert (tmp_path / "out" / "model" / "model.safetensors").read_bytes() == weights


def test_a_run_that_is_refused_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["train", str(recipe(tmp_path)), "--out", str(out)]
    assert main(command) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for extra, message in {
        ("--set", "data.items=30"): "add --resume",
        ("--set", "data.items=30", "--resume"): r"data\.items: 60 before, 30 now",
        ("--set", "training.steps=9", "--resume"): r"training\.steps: 6 before, 9 now",
        ("--set", "model.dim=64", "--resume"): r"model\.dim: 32 before, 64 now",
    }.items():
        assert main([*command, *extra]) == 2
        assert re.search(message, capsys.readouterr().err)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_the_recipe_on_the_card_is_the_whole_of_what_was_done(tmp_path: Path) -> None:
    command = ["train", str(recipe(tmp_path)), "--set", "training.seed=3", "--set", "training.steps=4"]
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    card = (tmp_path / "one" / "model" / "README.md").read_text()
    shown = card.partition("```toml\n")[2].partition("```")[0]
    assert tomllib.loads(shown)["training"]["steps"] == 4
    assert digest(tmp_path / "one" / "data") in card
    again = tmp_path / "again.toml"
    again.write_text(shown)
    assert main(["train", str(again), "--out", str(tmp_path / "two")]) == 0
    one, two = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_token_files_that_were_not_finished_are_written_again(tmp_path: Path) -> None:
    command = ["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out")]
    assert main([*command, "--set", "training.length=600"]) == 2  # refused before any text is read
    assert not (tmp_path / "out").exists()
    assert main([*command, "--set", "training.batch_size=100000"]) == 2  # more than there is
    whole = digest(tmp_path / "out" / "data")
    (tmp_path / "out" / "data" / "starts.npy").unlink()
    (tmp_path / "out" / "data" / "tokens.npy").write_bytes(b"half")
    assert main(command) == 0
    assert digest(tmp_path / "out" / "data") == whole


def test_a_run_goes_on_when_its_texts_have_gone(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("def f(x):\n    return x\n" * 60)
    command = ["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--set", f"data.source={texts}"]
    assert main(command) == 0
    texts.unlink()
    assert main([*command, "--resume"]) == 0


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on_to_the_same_model(tmp_path: Path) -> None:
    steps = ["--set", "training.steps=300", "--set", "training.log_every=1"]
    command = [sys.executable, "-m", "harness", "train", str(recipe(tmp_path)), *steps, "--out"]
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert main([*command[3:-1], "--out", str(whole)]) == 0
    process = subprocess.Popen(
        [*command, str(part)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    metrics = part / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") >= 5):
        pass
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode == 130, error
    assert not (part / "model").exists()
    assert "Traceback" not in error
    assert main([*command[3:], str(part), "--resume"]) == 0
    one, two = (folder / "model" / "model.safetensors" for folder in (whole, part))
    assert one.read_bytes() == two.read_bytes()


def test_a_vocabulary_is_made_for_the_texts_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="needs the package tokenizers: pip install 'mtp-harness[hf]'")
    command = ["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--set", "data.vocab_size=400"]
    assert main(command) == 0
    described = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    assert 257 < described["model"]["vocab_size"] <= 400
    assert described["tokenizer"]["type"] == "tokenizers"
    weights = (tmp_path / "out" / "model" / "model.safetensors").read_bytes()
    assert main([*command, "--resume"]) == 0
    assert (tmp_path / "out" / "model" / "model.safetensors").read_bytes() == weights


def test_of_a_folder_texts_are_read_and_what_is_hidden_or_no_text_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / ".git").mkdir(parents=True)
    (folder / "package").mkdir()
    for name in (".git/hidden.py", "picture.png", "package/a.py", "b.txt", "empty.py"):
        (folder / name).write_text("" if name == "empty.py" else name)
    command = ["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--set", f"data.source={folder}"]
    assert main([*command, "--set", "training.length=6", "--set", "training.batch_size=1"]) == 0
    tokens = bytes(token % 256 for token in np.load(tmp_path / "out" / "data" / "tokens.npy").tolist())
    assert tokens == b"\0b.txt\0package/a.py"  # the files' texts are their names


ROWS = {
    "no object": ("[1]", r"line 2: no JSON object with a `text`"),
    "no text": ('{"prompt": "a"}', r"line 2: no JSON object with a `text`"),
    "text is a number": ('{"text": 3}', r"line 2: `text` and `prompt` must be text"),
    "prompt is a number": ('{"text": "a", "prompt": 3}', r"line 2: `text` and `prompt` must be text"),
    "another prompt": ('{"text": "abc", "prompt": "x"}', r"line 2: `text` does not begin with `prompt`"),
}


@pytest.mark.parametrize("bad", ROWS.values(), ids=ROWS)
def test_a_bad_row_is_named_by_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: tuple[str, str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(f'{{"text": "good"}}\n{bad[0]}\n')
    command = ["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--set", f"data.source={rows}"]
    assert main(command) == 2
    assert re.search(bad[1], capsys.readouterr().err)


def test_texts_are_taken_from_files(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.py").write_text("x = 1\n" * 30)
    (texts / "b.jsonl").write_text("".join(json.dumps({"prompt": "p", "text": f"pq{i}"}) + "\n" for i in range(30)))
    assert main(
        ["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--set", f"data.source={texts}",
         "--set", "training.length=16"]
    ) == 0  # fmt: skip


BAD = {
    "unknown table": (RECIPE + "\n[optimizer]\nx = 1\n", r"unknown table \[optimizer\]"),
    "unknown name": (
        RECIPE.replace("num_layers", "num_layer"),
        "unknown num_layer in .model.; did you mean num_layers",
    ),
    "missing": (RECIPE.replace("steps = 6", ""), r"\[training\] lacks steps"),
    "bad value": (RECIPE.replace("num_heads = 2", "num_heads = 3"), "num_heads"),
    "no TOML": ("[model", "is no recipe"),
    "longer than the context": (RECIPE.replace("length = 64", "length = 640"), "does not fit into max_positions 512"),
    "no source": (RECIPE.replace("items = 60", 'items = 60\nsource = "/nowhere"'), "/nowhere is not there"),
    "table for a value": ("model = 3", r"model is a value, not a table; type \[model\]"),
    "near table": (RECIPE.replace("[training]", "[trainin]"), r"unknown table \[trainin\]; did you mean \[training\]"),
    "number in quotes": (
        RECIPE.replace("steps = 6", 'steps = "6"'),
        r"steps takes a whole number, not '6'; type steps = 6",
    ),
    "half a step": (RECIPE.replace("steps = 6", "steps = 6.5"), r"steps takes a whole number, not 6\.5"),
    "true steps": (RECIPE.replace("steps = 6", "steps = true"), "steps takes a whole number, not True"),
    "words for a number": (RECIPE + 'peak_lr = "high"', "peak_lr takes a number, not 'high'"),
    "endless rate": (RECIPE + "peak_lr = inf", "peak_lr must be a number above 0, not inf"),
    "number for words": (RECIPE + "dtype = 16", 'dtype takes text in "quotes", not 16; type dtype = "16"'),
    "unknown heads": (RECIPE.replace("[model]", '[model]\nhead_type = "x"'), "head_type is 'x'; accepted: transformer"),
    "no such device": (RECIPE.replace('"cpu"', '"tpu"'), "no device 'tpu' on this machine; accepted: auto, cpu"),
    "rows too short": (RECIPE.replace("length = 64", "length = 2"), "no token 2 places ahead"),
    "vocabulary too small": (
        RECIPE.replace("[model]", "[model]\nvocab_size = 100"),
        "does not hold the tokenizer's 257",
    ),
    "no items": (RECIPE.replace("items = 60", "items = 0"), "items must be 1 or more"),
    "heavy prompts": (RECIPE.replace("prompt_weight = 0.1", "prompt_weight = 2"), "prompt_weight must be from 0 to 1"),
    "prompts too light": (RECIPE.replace("prompt_weight = 0.1", "prompt_weight = 0.001"), "255ths"),
    "two tokenizers": (RECIPE.replace("[data]", '[data]\ntokenizer = "x"\nvocab_size = 300'), "not both"),
    "small vocabulary": (RECIPE.replace("[data]", "[data]\nvocab_size = 100"), "vocab_size must be 257"),
    "too little": (
        RECIPE.replace("items = 60", "items = 1").replace("length = 64", "length = 512"),
        "fewer than one batch",
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_recipe_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: tuple[str, str]) -> None:
    assert main(["train", str(recipe(tmp_path, bad[0])), "--out", str(tmp_path / "out")]) == 2
    assert re.search(bad[1], capsys.readouterr().err)


@pytest.mark.parametrize("change", ["training.steps", "training.steps=", "steps=3", "=3"])
def test_a_change_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str) -> None:
    assert main(["train", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--set", change]) == 2
    assert "--set takes table.name=value, such as training.steps=100" in capsys.readouterr().err
