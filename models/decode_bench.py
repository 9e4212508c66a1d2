"""Measures decoding: this decoder with and without drafts, and the library transformers on the same weights."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from models.backend import Completion, ModelUnavailable, Request, Sampling
from models.cache import Window
from models.catalog import Options
from models.checkpoint import export_llama, load
from models.mtp import MTPConfig, MTPTransformer
from models.mtp_backend import MTPBackend, chosen_device, open_backend
from models.step import StepModel
from models.tokenizer import Tokenizer


class Measured(Protocol):
    """What can be timed: the part of a backend that is used."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]: ...

    def statistics(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """One way of decoding at one batch size."""

    path: str
    """`k=1` for plain decoding, `k=2`, ...; `auto`; `transformers`."""
    batch_size: int
    tokens: int
    seconds: tuple[float, ...]
    """Of each turn, from the requests to the last completion."""
    decode_seconds: tuple[float, ...] = ()
    """The same without running the prompts, which every path does alike; empty where that is not known."""
    tokens_per_forward: float | None = None
    step_s: float | None = None
    """Mean of a step over the whole batch, in the fastest turn."""

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / statistics.median(self.seconds)

    @property
    def decode_tokens_per_s(self) -> float | None:
        """Prompts left out."""
        return self.tokens / statistics.median(self.decode_seconds) if self.decode_seconds else None

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "tokens_per_s": self.tokens_per_s,
            "decode_tokens_per_s": self.decode_tokens_per_s,
        }


def measure(
    place: str, requests: Sequence[Request], sampling: Sampling, batch_sizes: Sequence[int], turns: int
) -> Iterator[Timing]:
    """Decodes the same requests in every way, in turns, so that a change of the machine's pace meets all of them.

    Args:
        place: a checkpoint's folder.
        requests: at batch size 1 only the first of them are written, so that it does not take for ever.
        sampling: of all of them.
        batch_sizes: one after the other.
        turns: how often each is measured.

    Raises:
        ModelUnavailable: there is no model at the place.
    """
    loaded = load(Path(place))
    most = loaded.model.config.num_future_tokens
    del loaded
    paths = [f"k={k}" for k in range(1, most + 1)] + (["auto"] if most > 1 else [])
    with tempfile.TemporaryDirectory() as folder:
        rival = _transformers_copy(place, Path(folder))
        tokenizer = load(Path(place)).tokenizer
        for batch_size in batch_sizes:
            part = requests[: max(8, len(requests) * batch_size // max(batch_sizes))]
            backends: dict[str, Measured] = {path: _backend(place, path, batch_size) for path in paths}
            if rival:
                backends["transformers"] = TransformersGenerate(rival, batch_size, tokenizer)
            yield from _in_turns(backends, part, sampling, batch_size, turns)


def _backend(place: str, path: str, batch_size: int) -> MTPBackend:
    return open_backend(place, Options(batch_size=batch_size, draft=path.removeprefix("k="), dtype="float32"))


def _transformers_copy(place: str, folder: Path) -> str | None:
    """The same weights as a Llama folder; None where transformers is absent or the heads have no such form."""
    import importlib.util

    if importlib.util.find_spec("transformers") is None:
        return None
    loaded = load(Path(place))
    try:
        export_llama(loaded.model, loaded.tokenizer, folder)
    except ValueError:
        return None
    return str(folder)


class TransformersGenerate:
    """The library's `generate` as its users call it: nothing of ours in its loop.

    Args:
        folder: a Llama folder.
        batch_size: texts at once.
        tokenizer: what the model reads and writes.
    """

    def __init__(self, folder: str, batch_size: int, tokenizer: Tokenizer) -> None:
        from transformers import AutoModelForCausalLM

        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer = tokenizer
        self._batch_size = batch_size

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Only the number of tokens is right; the text is not decoded."""
        prompts = [self._tokenizer.encode(request.prompt, start=True) for request in requests]
        order = sorted(range(len(requests)), key=lambda place: len(prompts[place]))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            for place, count in zip(batch, self._counts([prompts[place] for place in batch], sampling), strict=True):
                request = requests[place]
                yield Completion(
                    task_id=request.task_id, index=request.index, text="", finish_reason="length", num_tokens=count
                )

    @torch.inference_mode()
    def _counts(self, prompts: list[list[int]], sampling: Sampling) -> list[int]:
        end = self._tokenizer.end_ids[0]
        width = max(map(len, prompts))
        tokens = torch.tensor([[end] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        how = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        written = self._model.generate(
            input_ids=tokens,
            attention_mask=mask,
            max_new_tokens=sampling.max_new_tokens,
            do_sample=sampling.temperature > 0,
            pad_token_id=end,
            **(how if sampling.temperature else {}),
        )[:, width:].tolist()
        return [row.index(end) + 1 if end in row else len(row) for row in written]

    def statistics(self) -> dict[str, Any]:
        return {}


def _in_turns(
    backends: dict[str, Measured], requests: Sequence[Request], sampling: Sampling, batch_size: int, turns: int
) -> Iterator[Timing]:
    seconds: dict[str, list[float]] = {path: [] for path in backends}
    decode_seconds: dict[str, list[float]] = {path: [] for path in backends}
    tokens: dict[str, int] = {}
    forwards: dict[str, float | None] = {}
    steps: dict[str, float] = {}
    for turn in range(turns + 1):
        for path, backend in backends.items():
            before = dict(backend.statistics())
            started = time.perf_counter()
            answers = list(backend.generate(requests[:batch_size] if turn == 0 else requests, sampling))
            if turn == 0:
                continue  # what only the first call does
            seconds[path].append(time.perf_counter() - started)
            tokens[path] = sum(answer.num_tokens or 0 for answer in answers)
            after = backend.statistics()
            if "prompt_s" in after:
                prompt_s = after["prompt_s"] - before.get("prompt_s", 0.0)
                decode_seconds[path].append(seconds[path][-1] - prompt_s)
            forwards[path], step_s = _counted(before, after, path)
            if step_s is not None:
                steps[path] = min(step_s, steps.get(path, step_s))
    for path in backends:
        yield Timing(
            path=path,
            batch_size=batch_size,
            tokens=tokens[path],
            seconds=tuple(seconds[path]),
            decode_seconds=tuple(decode_seconds[path]),
            tokens_per_forward=forwards[path],
            step_s=steps.get(path),
        )


def _counted(before: Any, after: Any, path: str) -> tuple[float | None, float | None]:
    """(tokens per forward, seconds of a step) of what was counted between the two."""
    if "passes" not in after:
        return None, None
    passes = after["passes"] - before.get("passes", 0)
    tokens = after["tokens"] - before.get("tokens", 0)
    k = path.removeprefix("k=")
    steps = after["steps"].get(k, 0) - before.get("steps", {}).get(k, 0)
    seconds = after["step_s"].get(k, 0.0) - before.get("step_s", {}).get(k, 0.0)
    return tokens / passes, seconds / steps if steps else None


# ---------------------------------------------------------------------------------------------------------------------
# Shapes without weights
# ---------------------------------------------------------------------------------------------------------------------

SHAPES = {
    "7b": MTPConfig(
        vocab_size=32000, dim=4096, num_layers=32, num_heads=32, num_kv_heads=32, hidden_dim=11008, num_future_tokens=4
    ),
    "300m": MTPConfig(
        vocab_size=32000, dim=1024, num_layers=18, num_heads=16, num_kv_heads=16, hidden_dim=2816, num_future_tokens=4
    ),
    "1m": MTPConfig(
        vocab_size=257, dim=128, num_layers=5, num_heads=4, num_kv_heads=4, hidden_dim=352, num_future_tokens=4
    ),
}
"""Those of the released checkpoints, of the paper's 0.3B and 1M models (the last with bytes for tokens)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """What a step over k tokens costs, whatever comes of it."""

    k: int
    batch_size: int
    seconds: float
    """Median."""
    weight_bytes: int
    """That a step over k tokens has to read."""
    bandwidth_bytes_per_s: float
    """Of this device, measured by copying."""

    @property
    def share_of_bandwidth(self) -> float:
        """How much of the time is what reading the weights takes at full bandwidth."""
        return self.weight_bytes / self.bandwidth_bytes_per_s / self.seconds


def step_costs(
    shape: str, batch_size: int, *, device: str = "auto", dtype: str = "auto", position: int = 512, steps: int = 30
) -> list[StepCost]:
    """Times steps of a model with random weights, over 1 to n tokens, drafts included.

    Args:
        shape: one of `SHAPES`.
        batch_size: rows.
        device: as for a model.
        dtype: as for a model.
        position: tokens that each row already has.
        steps: timed of each k.

    Raises:
        ModelUnavailable: the device is not there, or too small.
    """
    config, place = SHAPES[shape], chosen_device(device)
    kind = getattr(torch, dtype) if dtype != "auto" else torch.bfloat16 if place.type == "cuda" else torch.float32
    try:
        step = StepModel(_random_model(config, place, kind))
        cache = step.new_cache(batch_size, position + 8)
        bandwidth = _bandwidth(place)
        return [
            StepCost(
                k=k,
                batch_size=batch_size,
                seconds=_step_seconds(step, cache, k, batch_size, position, steps),
                weight_bytes=_weight_bytes(config, k, kind),
                bandwidth_bytes_per_s=bandwidth,
            )
            for k in range(1, config.num_future_tokens + 1)
        ]
    except torch.OutOfMemoryError as error:
        raise ModelUnavailable(f"shape {shape} does not fit on {place}: {str(error).splitlines()[0]}") from error


def _random_model(config: MTPConfig, device: torch.device, dtype: torch.dtype) -> MTPTransformer:
    with torch.device("meta"):
        model = MTPTransformer(config).to(dtype)
    model = model.to_empty(device=device)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.02) if weight.dim() > 1 else weight.fill_(1.0)
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def _step_seconds(step: StepModel, cache: Any, k: int, rows: int, position: int, steps: int) -> float:
    device = step.device
    positions_BK = (position - 1 + torch.arange(k, device=device)).expand(rows, k).contiguous()
    tokens_BK = torch.zeros((rows, k), dtype=torch.int64, device=device)
    heads = step.extra_heads
    assert heads is not None
    states = torch.zeros((rows, heads.num_states, step.config.dim), dtype=step.dtype, device=device)
    window = Window(cache, 0, positions_BK, cache.length if device.type == "cuda" else position + k)

    def once() -> None:
        if k > 1:
            last_B = positions_BK[:, 0] - 1
            tokens_BK[:, 1:] = heads.draft(states, last_B, window, k - 1).argmax(-1)
        following, after = step.run(tokens_BK, positions_BK, window)
        step.unembed(following).argmax(-1)
        if k > 1:
            states.copy_(heads.extend(after, positions_BK, window)[:, 0])

    run = _graphed(once) if device.type == "cuda" else once
    times = []
    for turn in range(steps + 3):
        _wait(device)
        started = time.perf_counter()
        run()
        _wait(device)
        if turn >= 3:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def _graphed(function: Any) -> Any:
    for _ in range(3):
        function()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _weight_bytes(config: MTPConfig, k: int, dtype: torch.dtype) -> int:
    """The layers on the way to the next token, those of k - 1 extra heads, and the unembedding once."""
    layer = 2 * config.dim * (config.dim + config.num_kv_heads * config.head_dim) + 3 * config.dim * config.hidden_dim
    layers = config.num_layers - config.num_extra_layers + min(k - 1, config.num_extra_layers)
    return (layers * layer + config.vocab_size * config.dim) * dtype.itemsize


def _bandwidth(device: torch.device) -> float:
    """Bytes per second read, by copying a block that no cache holds; the copy writes as much as it reads."""
    block = torch.zeros(1 << (30 if device.type == "cuda" else 27), dtype=torch.uint8, device=device)
    other = torch.empty_like(block)
    best = float("inf")
    for _ in range(6):
        _wait(device)
        started = time.perf_counter()
        other.copy_(block)
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * block.numel() / best
