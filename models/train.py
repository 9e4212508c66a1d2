"""Training: the loss over all future tokens, AdamW, a cosine, checkpoints that a killed run goes on from exactly.

Hyperparameters that have no field here are those of Gloeckle et al. 2024, tables S13 and S14: betas 0.9 and 0.95,
decoupled weight decay 0.1 on matrices, gradients clipped at norm 1.

A run that goes on gives the weights, bit for bit, of one that was never stopped: on a CPU, on the same machine, with
the same number of threads (sums are taken in an order that depends on it).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models import loss as losses
from models.mtp import MTPConfig, MTPTransformer
from models.token_files import TokenFile

BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.1
CLIP_NORM = 1.0
DTYPES = ("auto", "float32", "bfloat16", "float64")


class TrainingStopped(RuntimeError):
    """Training cannot go on; the last checkpoint is whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Everything that decides a training run, but for the data."""

    steps: int
    batch_size: int = 16
    """Texts of a step."""
    length: int = 256
    """Tokens of a text."""
    peak_lr: float = 1e-3
    warmup: int = 200
    """Steps of the learning rate's rise."""
    final_ratio: float = 0.03
    """The last learning rate beside the peak."""
    seed: int = 0
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, ...; `auto` takes a GPU where there is one."""
    dtype: str = "auto"
    """What the products are computed in: `float32` or `bfloat16`; `auto` takes the second on a GPU that has it. Weights
    and their sums are 32 bits. With `float64` all of it is 64 bits."""
    checkpoint_every: int = 500
    log_every: int = 20

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "length", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if not 0 <= self.warmup < self.steps:
            raise ValueError(
                f"warmup must be 0 or more and fewer than all {self.steps} steps, not {self.warmup}; "
                f"try warmup = {self.steps // 10}"
            )
        if not 0 < self.peak_lr < math.inf:
            raise ValueError(f"peak_lr must be a number above 0, not {self.peak_lr}; try peak_lr = 1e-3")
        if not 0 <= self.final_ratio <= 1:
            raise ValueError(f"final_ratio must be from 0 to 1, not {self.final_ratio}; the paper has 0.03")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")
        if self.dtype not in DTYPES:
            raise ValueError(f"unknown dtype {self.dtype!r}; accepted: {', '.join(DTYPES)}")


def learning_rate(config: TrainConfig, step: int) -> float:
    """Of a step, counted from 0: a straight rise over `warmup` steps, then half a cosine down to the last one."""
    if step < config.warmup:
        return config.peak_lr * (step + 1) / config.warmup
    share = (step - config.warmup) / max(1, config.steps - 1 - config.warmup)
    low = config.peak_lr * config.final_ratio
    return low + (config.peak_lr - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What a step showed."""

    step: int
    """Counted from 1."""
    lr: float
    losses: list[float]
    """Nats per token, of each head."""
    gradient_norm: float
    tokens: int
    """Read since the beginning."""
    seconds: float
    """Of all sessions that led here, what was lost with a kill left out."""


class Trainer:
    """A model in training.

    Args:
        shape: of the model.
        config: the run.
        data: its batches.
        folder: of checkpoint and metrics.

    Raises:
        ValueError: rows are too short for the heads or too long for the model, or there is no such device.
    """

    def __init__(self, shape: MTPConfig, config: TrainConfig, data: TokenFile, folder: Path) -> None:
        check_fit(shape, config)
        self.config = config
        self.folder = folder
        self.device = find_device(config.device)
        self.dtype = _chosen_dtype(config.dtype, self.device)
        self.model = MTPTransformer(shape)
        self.model.reset(torch.Generator().manual_seed(config.seed))
        self.model.to(self.device, torch.float64 if self.dtype == "float64" else torch.float32)
        self._data = data
        self._optimizer = _optimizer(self.model, config)
        self._step = 0
        self._seconds = 0.0
        self._whole = True
        self.latest: Step | None = None
        """The latest step that was logged; after the last step, that one."""

    @property
    def step(self) -> int:
        """How many steps have been taken."""
        return self._step

    @property
    def data_digest(self) -> str:
        """sha256 over the token files."""
        return self._data.digest

    def resume(self) -> bool:
        """Goes back to the last checkpoint; whether there is one.

        Raises:
            ValueError: it belongs to a training run of other choices or other data, or is no checkpoint.
        """
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            before = json.loads(state["choices"])
        except Exception as error:  # pickles and zips fail in many ways, and torch's advice is not for our users
            raise ValueError(
                f"{path} is no checkpoint ({type(error).__name__}); name another folder with --out"
            ) from error
        changed = differences(before, self._choices())
        if changed:
            listed = "\n  ".join(changed)
            raise ValueError(f"{self.folder} holds another training run:\n  {listed}\nname another folder with --out")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step = state["step"]
        self._seconds = state["seconds"]
        self.latest = Step(**state["latest"]) if state["latest"] else None
        return True

    def run(self, report: Callable[[Step], None] = lambda step: None) -> None:
        """Trains to the last step; what is interrupted leaves a checkpoint behind.

        Raises:
            TrainingStopped: the loss or its gradient is no longer a number.
            KeyboardInterrupt: after the step under way, and after its checkpoint.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # A session that was killed has counted steps that its checkpoint does not know of.
        _forget_after(self.folder / "metrics.jsonl", self._step)
        self.model.train()
        try:
            with _interrupts_kept_back() as is_interrupted:
                self._take_steps(report, is_interrupted)
        except KeyboardInterrupt:
            # Not within an update: some weights would be of one step and some of the next.
            if self._whole:
                self.checkpoint()
            raise
        self.model.eval()

    def _take_steps(self, report: Callable[[Step], None], is_interrupted: Callable[[], bool]) -> None:
        resumed_at = time.perf_counter() - self._seconds
        while self._step < self.config.steps:
            losses_N, norm = self._one_step()
            self._seconds = time.perf_counter() - resumed_at
            is_last = self._step == self.config.steps
            if is_last or self._step % self.config.log_every == 0:
                report(self._logged(losses_N, norm))
            if is_last or self._step % self.config.checkpoint_every == 0:
                self.checkpoint()
            if is_interrupted() and not is_last:
                raise KeyboardInterrupt

    def _one_step(self) -> tuple[Tensor, Tensor]:
        tokens_BT, weights_BT = (part.to(self.device) for part in self._data.batch(self._step))
        self._optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            losses_N = losses.backward(self.model, tokens_BT, weights_BT)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        # Both in one look: each makes a GPU wait.
        if not bool(torch.isfinite(norm + losses_N.sum())):
            raise TrainingStopped(
                f"at step {self._step + 1} the loss is {losses_N.sum().item():.4g} and the norm of its gradient "
                f"{norm.item():.4g}; lower peak_lr or lengthen warmup. The last checkpoint is whole."
            )
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self._step)
        self._whole = False
        self._optimizer.step()
        self._step += 1
        self._whole = True
        return losses_N, norm

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16")

    def _logged(self, losses_N: Tensor, norm: Tensor) -> Step:
        step = Step(
            step=self._step,
            lr=learning_rate(self.config, self._step - 1),
            losses=losses_N.tolist(),
            gradient_norm=float(norm),
            tokens=self._step * self.config.batch_size * self.config.length,
            seconds=self._seconds,
        )
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(asdict(step)) + "\n")
        self.latest = step
        return step

    def checkpoint(self) -> None:
        """Writes all that is needed to go on exactly; the file is whole at any time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self._step,
            "seconds": self._seconds,
            "latest": asdict(self.latest) if self.latest else None,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "choices": json.dumps(self._choices()),
        }
        new = self.folder / "checkpoint.pt.new"
        with new.open("wb") as file:
            torch.save(state, file)
            # On the disk before it has the name: a machine that loses power may keep the two in another order.
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.folder / "checkpoint.pt")

    def _choices(self) -> dict[str, Any]:
        """All that decides a weight. How often is logged or kept may change from one session to the next."""
        config = asdict(self.config) | {"device": self.device.type, "dtype": self.dtype}
        del config["checkpoint_every"], config["log_every"]
        return {"model": asdict(self.model.config), "training": config, "data": {"sha256": self._data.digest}}


def check_fit(shape: MTPConfig, config: TrainConfig) -> None:
    """Whether a model can be trained on rows of that length.

    Raises:
        ValueError: it cannot.
    """
    if config.length <= shape.num_future_tokens:
        raise ValueError(
            f"rows of length {config.length} have no token {shape.num_future_tokens} places ahead (num_future_tokens); "
            f"take length = {shape.num_future_tokens + 1} or more"
        )
    if config.length > shape.max_positions:
        raise ValueError(
            f"length {config.length} does not fit into max_positions {shape.max_positions}; lower the one or raise "
            f"the other"
        )


def find_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        ValueError: there is none on this machine.
    """
    has_gpu = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if has_gpu else "cpu")
    accepted = ["auto", "cpu", *(["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))] if has_gpu else [])]
    if name not in accepted:
        raise ValueError(f"there is no device {name!r} on this machine; accepted: {', '.join(accepted)}")
    return torch.device(name)


def _chosen_dtype(name: str, device: torch.device) -> str:
    if name != "auto":
        return name
    # Older GPUs have it only by way of emulation, slower than 32 bits.
    is_fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if is_fast else "float32"


@contextlib.contextmanager
def _interrupts_kept_back() -> Iterator[Callable[[], bool]]:
    """Yields whether Ctrl-C has been typed, which then waits for the end of a step; the second time it does not."""
    asked = False

    def remember(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    # Whoever ignores the signal, or handles it in a way of their own, goes on doing so; and only the main thread may
    # say what happens to it.
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_usual or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _forget_after(path: Path, last_step: int) -> None:
    """Leaves those lines of a file of metrics that belong to steps up to `last_step`."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if (step := _step_of(line)) is not None and step <= last_step]
    if kept != lines:
        new = path.with_name(f"{path.name}.new")
        new.write_text("".join(f"{line}\n" for line in kept))
        os.replace(new, path)


def _step_of(line: str) -> int | None:
    try:
        step: int = json.loads(line)["step"]
    except ValueError:  # what a kill has torn
        return None
    return step


def _optimizer(model: MTPTransformer, config: TrainConfig) -> torch.optim.AdamW:
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.dim() == 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=config.peak_lr,
        betas=BETAS,
    )


def differences(before: Any, after: Any, name: str = "") -> list[str]:
    """A line for each value of nested dictionaries that is not the same in both."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = dict.fromkeys([*before, *after])
        return [
            line for key in keys for line in differences(before.get(key), after.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if before == after else [f"{name}: {before!r} before, {after!r} now"]
