"""A run that asks a model: the same samples whatever the batch, nothing lost, faults never counted as answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from loopback_server import Server, serving
from small import small_model

from harness.cli import main
from harness.generation import sample_seed
from models.checkpoint import save
from models.tokenizer import ByteTokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("models") / "small"
    save(small_model(spread=0.2, dtype=torch.float32, max_positions=512), ByteTokenizer(), place)
    return f"mtp:{place}"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


RUN = ["--task", "mini", "--limit", "5", "-n", "3", "--max-new-tokens", "24"]


def samples(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(out.glob("samples-*.jsonl"))]


def test_samples_are_the_same_to_the_byte_for_every_batch_and_draft(tmp_path: Path, model: str) -> None:
    outs = []
    for place, how in enumerate([["--draft", "1"], ["--draft", "4", "--batch-size", "2"], ["--batch-size", "64"]]):
        out = tmp_path / str(place)
        assert main(["generate", *RUN, "--model", model, *how, "--out", str(out)]) == 0
        outs.append(samples(out))
    assert outs[0] == outs[1] == outs[2]
    rows = [json.loads(line) for line in outs[0][0].splitlines()]
    assert len(rows) == 15
    assert [row["index"] for row in rows] == [0, 1, 2] * 5
    assert rows[4]["seed"] == sample_seed(0, rows[4]["task_id"], 1)


def test_another_seed_gives_other_samples(tmp_path: Path, model: str) -> None:
    for seed in ("0", "1"):
        assert main(["generate", *RUN, "--model", model, "--seed", seed, "--out", str(tmp_path / seed)]) == 0
    assert samples(tmp_path / "0") != samples(tmp_path / "1")


def test_an_interrupted_run_goes_on_to_the_same_file(tmp_path: Path, model: str) -> None:
    command = ["generate", *RUN, "--model", model, "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    assert main([*command, str(tmp_path / "part")]) == 0
    path = next((tmp_path / "part").glob("samples-*.jsonl"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:7]) + b'{"task_id": "mini/ar')
    assert main([*command, str(tmp_path / "part")]) == 0
    assert samples(tmp_path / "part") == samples(tmp_path / "whole")


def test_the_report_shows_what_decoding_did_and_how_it_was_sampled(tmp_path: Path, model: str) -> None:
    assert main(["run", *RUN, "--model", model, "--out", str(tmp_path), "--engine", "serial"]) == 0
    summary = (tmp_path / "summary.md").read_text()
    assert "tokens per forward" in summary
    assert "temperature 0.8, top-p 0.95" in summary
    decoding = json.loads((tmp_path / "results.json").read_text())["decoding"]
    assert decoding["completions"] == 15
    before = (tmp_path / "results.json").read_bytes()
    assert main(["report", str(tmp_path)]) == 0  # from the records alone
    assert (tmp_path / "results.json").read_bytes() == before


def test_another_temperature_is_another_run(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", *RUN, "--model", model, "--out", str(tmp_path)]) == 0
    assert main(["generate", *RUN, "--model", model, "--temperature", "0.5", "--out", str(tmp_path)]) == 2
    assert "temperature: 0.8 before, 0.5 now" in capsys.readouterr().err


def test_a_server_without_an_answer_leaves_samples_missing_and_asked_for_again(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(body: dict[str, Any], attempt: int) -> Any:
        return (400, {}, {"error": "too long"}) if len(server.bodies) <= 4 else None

    server.script = refuse
    run = ["run", *RUN, "--model", f"openai:{server.url}#m", "--out", str(tmp_path), "--engine", "serial"]
    assert main([*run, "--batch-size", "1"]) == 3
    assert "4 requests got no answer" in capsys.readouterr().err
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["tasks"]["mini"]["missing"] == 4
    assert results["tasks"]["mini"]["samples"] == 15
    assert main(run) == 0
    assert json.loads((tmp_path / "results.json").read_text())["complete"]


BAD = {
    "no folder": (["--model", "mtp:/nowhere"], 3, "/nowhere"),
    "unknown kind": (["--model", "gpt:x"], 2, "unknown model 'gpt:x'"),
    "nothing named": (["--model", "mtp:"], 2, "accepted: mtp:DIR"),
    "same samples": (["--model", "mtp:x", "-n", "2", "--temperature", "0"], 2, "would all be the same"),
    "sampling the reference": (["--temperature", "0.5"], 2, "--temperature is for a model"),
    "no samples": (["--model", "mtp:x", "-n", "0"], 2, "--n-samples must be 1 or more"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_cannot_be_asked_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: tuple[list[str], int, str]
) -> None:
    assert main(["run", "--task", "mini", *bad[0], "--out", str(tmp_path / "out")]) == bad[1]
    assert bad[2] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bad", [["--draft", "9"], ["--draft", "x"], ["--dtype", "int8"], ["--top-p", "0"]], ids=str)
def test_options_that_the_model_does_not_take_are_refused(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str], bad: list[str]
) -> None:
    assert main(["run", *RUN, "--model", model, *bad, "--out", str(tmp_path / "out")]) == 2
    assert bad[0].strip("-") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
