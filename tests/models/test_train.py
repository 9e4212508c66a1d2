"""Training learns, repeats itself, and goes on exactly where it was stopped."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from models.mtp import MTPConfig, MTPTransformer
from models.token_files import Document, TokenFile, write
from models.tokenizer import ByteTokenizer
from models.train import TrainConfig, Trainer, TrainingStopped, learning_rate

SHAPE = MTPConfig(
    vocab_size=257, dim=32, num_layers=3, num_heads=2, num_kv_heads=2, hidden_dim=64, num_future_tokens=2,
    max_positions=64,
)  # fmt: skip
CONFIG = TrainConfig(
    steps=12, batch_size=4, length=24, peak_lr=3e-3, warmup=3, checkpoint_every=1000, log_every=1, device="cpu"
)
TEXT = "def add(a, b):\n    return a + b\n\n\n"


def data(folder: Path, config: TrainConfig) -> TokenFile:
    if not (folder / "starts.npy").exists():
        tokens = ByteTokenizer().encode(TEXT, start=True)
        write(folder, [Document(tokens=tokens, weights=[1.0] * len(tokens))] * 40, vocab_size=257)
    return TokenFile(folder, length=config.length, batch_size=config.batch_size, seed=config.seed)


def trainer(folder: Path, config: TrainConfig = CONFIG) -> Trainer:
    return Trainer(SHAPE, config, data(folder / "data", config), folder)


def same(one: MTPTransformer, other: MTPTransformer) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_what_a_text_says_is_learnt(tmp_path: Path) -> None:
    one = trainer(tmp_path, dataclasses.replace(CONFIG, steps=150, warmup=10, log_every=150))
    steps: list[list[float]] = []
    one.run(lambda step: steps.append(step.losses))
    shares = [TEXT.count(character) / len(TEXT) for character in set(TEXT)]
    entropy = -sum(share * math.log(share) for share in shares)
    assert len(steps[-1]) == 2
    assert max(steps[-1]) < 0.3 * entropy  # what could be had without looking at what came before


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    runs = [trainer(tmp_path / name, dataclasses.replace(CONFIG, seed=seed)) for name, seed in
            (("a", 1), ("b", 1), ("c", 2))]  # fmt: skip
    for one in runs:
        one.run()
    assert same(runs[0].model, runs[1].model)
    assert not same(runs[0].model, runs[2].model)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    whole.run()

    def stop(step: object) -> None:
        if part.step == 5:
            raise KeyboardInterrupt

    part = trainer(tmp_path / "part")
    with pytest.raises(KeyboardInterrupt):
        part.run(stop)
    again = trainer(tmp_path / "part")
    assert again.resume()
    assert again.step == 5
    again.run()
    assert same(again.model, whole.model)


class Typed(TokenFile):
    """Data during whose reading, before the step of that number, Ctrl-C is typed so many times."""

    before_step: int
    times: int

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        for _ in range(self.times if step == self.before_step else 0):
            signal.raise_signal(signal.SIGINT)
        return super().batch(step)


@pytest.mark.parametrize(("times", "steps"), [(1, 6), (2, 5)], ids=["once", "twice"])
def test_ctrl_c_waits_for_the_step_under_way_unless_typed_twice(tmp_path: Path, times: int, steps: int) -> None:
    whole = trainer(tmp_path / "whole")
    whole.run()
    data(tmp_path / "data", CONFIG)
    typed = Typed(tmp_path / "data", length=CONFIG.length, batch_size=CONFIG.batch_size, seed=CONFIG.seed)
    typed.before_step, typed.times = 5, times
    with pytest.raises(KeyboardInterrupt):
        Trainer(SHAPE, CONFIG, typed, tmp_path).run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = trainer(tmp_path)
    assert again.resume()
    assert again.step == steps
    again.run()
    assert same(again.model, whole.model)


def test_an_update_that_was_interrupted_half_way_is_not_kept(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    whole.run()
    counted = itertools.count(1)

    def interrupt(*_: object) -> None:
        if next(counted) == 6:
            raise KeyboardInterrupt

    handle = register_optimizer_step_post_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            trainer(tmp_path / "part", dataclasses.replace(CONFIG, checkpoint_every=4)).run()
    finally:
        handle.remove()
    again = trainer(tmp_path / "part")
    assert again.resume()
    assert again.step == 4
    again.run()
    assert same(again.model, whole.model)


def test_a_run_in_a_thread_leaves_signals_alone(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(one.run).result()
    assert one.step == 12


_KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_train
one = test_train.trainer(Path(sys.argv[2]), test_train.CHECKPOINTED)
one.resume()
one.run(lambda step: print(step.step, flush=True))
"""
CHECKPOINTED = dataclasses.replace(CONFIG, steps=40, checkpoint_every=3)


@pytest.mark.parametrize("kills", [(17,), pytest.param((3, 9, 8, 2), marks=pytest.mark.slow)], ids=str)
def test_a_run_that_is_killed_at_any_moment_goes_on_to_the_same_weights(tmp_path: Path, kills: tuple[int, ...]) -> None:
    whole = trainer(tmp_path / "whole", CHECKPOINTED)
    whole.run()
    command = [sys.executable, "-c", _KILLED, str(Path(__file__).parent), str(tmp_path / "part")]
    for after in kills:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(after):
            assert process.stdout.readline()
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = trainer(tmp_path / "part", CHECKPOINTED)
    assert last.resume()
    assert 0 < last.step < 40
    last.run()
    assert same(last.model, whole.model)
    rows = [json.loads(line) for line in (tmp_path / "part" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 41))


def test_a_folder_of_another_run_is_refused_with_the_difference(tmp_path: Path) -> None:
    trainer(tmp_path).run()
    with pytest.raises(ValueError, match=r"training\.peak_lr: 0\.003 before, 0\.1 now"):
        trainer(tmp_path, dataclasses.replace(CONFIG, peak_lr=0.1)).resume()


def test_other_data_is_another_run(tmp_path: Path) -> None:
    trainer(tmp_path).run()
    write(tmp_path / "data", [Document(tokens=[1, 2, 3] * 100, weights=[1.0] * 300)], vocab_size=257)
    with pytest.raises(ValueError, match=r"data\.sha256: '\w{64}' before, '\w{64}' now"):
        trainer(tmp_path).resume()


def test_how_often_is_logged_and_kept_may_change(tmp_path: Path) -> None:
    trainer(tmp_path).checkpoint()
    assert trainer(tmp_path, dataclasses.replace(CONFIG, log_every=3, checkpoint_every=5)).resume()


def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not one")
    with pytest.raises(ValueError, match=r"checkpoint\.pt is no checkpoint.*--out"):
        trainer(tmp_path).resume()


def test_lines_of_metrics_that_a_kill_has_torn_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 9}\n{"st')
    trainer(tmp_path).run()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))


def test_seconds_are_those_of_all_sessions(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.run()
    assert one.latest is not None
    again = trainer(tmp_path)
    assert again.resume()
    assert again.latest == one.latest
    again.run()
    assert again.latest.seconds == one.latest.seconds


def test_a_loss_that_is_no_number_stops_training_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.checkpoint()
    with torch.no_grad():
        one.model.norm.weight.fill_(torch.nan)
    with pytest.raises(TrainingStopped, match="lower peak_lr"):
        one.run()
    again = trainer(tmp_path)
    assert again.resume()
    assert all(weight.isfinite().all() for weight in again.model.parameters())


def test_every_logged_step_has_the_loss_of_each_head(tmp_path: Path) -> None:
    trainer(tmp_path).run()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert all(len(row["losses"]) == 2 for row in rows)
    assert rows[-1]["tokens"] == 12 * 4 * 24


def test_the_learning_rate_rises_straight_and_falls_by_a_cosine() -> None:
    config = TrainConfig(steps=101, warmup=10, peak_lr=1.0, final_ratio=0.1)
    assert learning_rate(config, 0) == pytest.approx(0.1)
    assert learning_rate(config, 9) == learning_rate(config, 10) == 1.0
    assert learning_rate(config, 55) == pytest.approx(0.55)
    assert learning_rate(config, 100) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "change",
    [
        *({"steps": 0}, {"warmup": 12}, {"warmup": -1}, {"peak_lr": 0.0}, {"peak_lr": math.inf}, {"peak_lr": math.nan}),
        *({"final_ratio": 2.0}, {"final_ratio": math.nan}, {"dtype": "int8"}, {"seed": -1}),
    ],
    ids=str,
)
def test_choices_that_make_no_training_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(CONFIG, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 2}, "have no token 2 places ahead"),
        ({"length": 65}, "does not fit into max_positions 64"),
        ({"device": "tpu"}, "no device 'tpu' on this machine; accepted: auto, cpu"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
    ],
    ids=str,
)
def test_what_model_or_machine_cannot_do_is_refused_at_once(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path, dataclasses.replace(CONFIG, **change))  # type: ignore[arg-type]


def test_weights_of_norms_do_not_decay(tmp_path: Path) -> None:
    # Tokens that count nothing have no gradient: all that is left of an update is the decay.
    write(tmp_path / "data", [Document(tokens=[1, 2, 3] * 100, weights=[0.0] * 300)], vocab_size=257)
    one = trainer(tmp_path, dataclasses.replace(CONFIG, steps=1, warmup=0))
    before = [weight.detach().clone() for weight in one.model.parameters()]
    one.run()
    for weight, old in zip(one.model.parameters(), before, strict=True):
        torch.testing.assert_close(weight, old * (1 - 3e-3 * 0.1) if old.dim() > 1 else old)


def test_16_bit_products_train_32_bit_weights(tmp_path: Path) -> None:
    one = trainer(tmp_path, dataclasses.replace(CONFIG, dtype="bfloat16"))
    steps: list[float] = []
    one.run(lambda step: steps.append(sum(step.losses)))
    assert one.model.output.weight.dtype == torch.float32
    assert steps[-1] < steps[0]
