"""A recipe becomes a model that can be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main

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
    "too little": (
        RECIPE.replace("items = 60", "items = 1").replace("length = 64", "length = 512"),
        "fewer than one batch",
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_recipe_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: tuple[str, str]) -> None:
    import re

    assert main(["train", str(recipe(tmp_path, bad[0])), "--out", str(tmp_path / "out")]) == 2
    assert re.search(bad[1], capsys.readouterr().err)
