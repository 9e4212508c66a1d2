"""Training: the loss over all future tokens, AdamW, a cosine, checkpoints that a killed run goes on from exactly.

Hyperparameters that have no field here are those of Gloeckle et al. 2024, tables S13 and S14: betas 0.9 and 0.95,
decoupled weight decay 0.1 on matrices, gradients clipped at norm 1.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
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
    dtype: str = "auto"
    """What the products are computed in: `float32` or `bfloat16`; `auto` takes the second on a GPU. Weights and their
    sums are 32 bits."""
    checkpoint_every: int = 500
    log_every: int = 20

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "length", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if not 0 <= self.warmup < self.steps:
            raise ValueError(f"warmup must be fewer steps than all {self.steps}, not {self.warmup}")
        if not self.peak_lr > 0 or not 0 <= self.final_ratio <= 1:
            raise ValueError(f"peak_lr must be above 0, not {self.peak_lr}; final_ratio 0 to 1, not {self.final_ratio}")
        if self.dtype not in ("auto", "float32", "bfloat16", "float64"):
            raise ValueError(f"dtype must be auto, float32, bfloat16 or float64, not {self.dtype!r}")


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
    """Since this session began."""


class Trainer:
    """A model in training.

    Args:
        shape: of the model.
        config: the run.
        data: its batches.
        folder: of checkpoint and metrics.

    Raises:
        ValueError: the folder holds a training run of other choices.
    """

    def __init__(self, shape: MTPConfig, config: TrainConfig, data: TokenFile, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.model = MTPTransformer(shape)
        self.model.reset(torch.Generator().manual_seed(config.seed))
        self._data = data
        self._device = torch.device(
            config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        )
        self.model.to(self._device)
        if config.dtype == "float64":
            self.model.double()
        self._optimizer = _optimizer(self.model, config)
        self._step = 0
        self._choices = {"shape": asdict(shape), "config": asdict(config)}
        # What does not change a weight may change from one session to the next.
        for name in ("checkpoint_every", "log_every"):
            del self._choices["config"][name]

    @property
    def step(self) -> int:
        """How many steps have been taken."""
        return self._step

    def resume(self) -> bool:
        """Goes back to the last checkpoint; whether there is one.

        Raises:
            ValueError: it belongs to a training run of other choices.
        """
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self._device, weights_only=True)
        changed = _differences(json.loads(state["choices"]), self._choices)
        if changed:
            listed = "\n  ".join(changed)
            raise ValueError(f"{self.folder} holds another training run:\n  {listed}\nname another folder with --out")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step = state["step"]
        return True

    def run(self, report: Callable[[Step], None] = lambda step: None) -> None:
        """Trains to the last step; what is interrupted leaves a checkpoint behind.

        Raises:
            TrainingStopped: the loss is no longer a number.
        """
        started = time.perf_counter()
        self.model.train()
        try:
            while self._step < self.config.steps:
                shown = self._one_step()
                if self._step % self.config.log_every == 0 or self._step == self.config.steps:
                    report(self._logged(*shown, time.perf_counter() - started))
                if self._step % self.config.checkpoint_every == 0:
                    self.checkpoint()
        except KeyboardInterrupt:
            self.checkpoint()
            raise
        self.checkpoint()
        self.model.eval()

    def _one_step(self) -> tuple[Tensor, Tensor]:
        tokens_BT, weights_BT = (part.to(self._device) for part in self._data.batch(self._step))
        self._optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            losses_N = losses.backward(self.model, tokens_BT, weights_BT)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        if not bool(torch.isfinite(norm)):
            raise TrainingStopped(
                f"the loss is {losses_N.sum().item()} at step {self._step + 1}; lower peak_lr or lengthen warmup. "
                f"The last checkpoint is whole."
            )
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self._step)
        self._optimizer.step()
        self._step += 1
        return losses_N, norm

    def _autocast(self) -> Any:
        wanted = self.config.dtype
        if wanted == "auto":
            wanted = "bfloat16" if self._device.type == "cuda" else "float32"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=wanted == "bfloat16")

    def _logged(self, losses_N: Tensor, norm: Tensor, seconds: float) -> Step:
        step = Step(
            step=self._step,
            lr=learning_rate(self.config, self._step - 1),
            losses=losses_N.tolist(),
            gradient_norm=float(norm),
            tokens=self._step * self.config.batch_size * self.config.length,
            seconds=seconds,
        )
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(asdict(step)) + "\n")
        return step

    def checkpoint(self) -> None:
        """Writes all that is needed to go on exactly; the file is whole at any time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self._step,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "choices": json.dumps(self._choices),
        }
        new = self.folder / "checkpoint.pt.new"
        torch.save(state, new)
        os.replace(new, self.folder / "checkpoint.pt")


def _optimizer(model: MTPTransformer, config: TrainConfig) -> torch.optim.AdamW:
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.dim() == 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=config.peak_lr,
        betas=BETAS,
    )


def _differences(before: Any, after: Any, name: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = dict.fromkeys([*before, *after])
        return [
            line for key in keys for line in _differences(before.get(key), after.get(key), f"{name}.{key}".strip("."))
        ]
    return [] if before == after else [f"{name}: {before!r} before, {after!r} now"]
