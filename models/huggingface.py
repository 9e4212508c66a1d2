"""Any causal language model of the library transformers as a backend.

The library's own loop runs the model; which token follows is chosen here, by noise that depends on the request's seed
and the position alone. So a sample does not depend on its batch, as far as the model's own arithmetic does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.backend import Completion, ModelUnavailable, Request, Sampling
from models.catalog import Options
from models.sampling import choose, noise_keys
from models.stops import StopFinder


def open_backend(place: str, options: Options) -> HuggingFaceBackend:
    """`hf:NAME_OR_DIR`.

    Raises:
        ModelUnavailable: transformers is absent, the model cannot be had, or the device is not there.
    """
    from models.mtp_backend import chosen_device

    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ModelUnavailable(
            f"hf:{place} needs the package {error.name}; type: pip install 'mtp-harness[hf]'"
        ) from error
    device = chosen_device(options.device)
    dtype = options.dtype if options.dtype != "auto" else "bfloat16" if device.type == "cuda" else "float32"
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, padding_side="left")
        model = transformers.AutoModelForCausalLM.from_pretrained(place, dtype=getattr(torch, dtype))
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelUnavailable(f"hf:{place} cannot be loaded: {reason}") from error
    return HuggingFaceBackend(model.to(device).eval(), tokenizer, place, options.batch_size)


class _Codec:
    """A tokenizer of transformers as `StopFinder` wants it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class HuggingFaceBackend:
    """A model and its tokenizer.

    Args:
        model: on its device.
        tokenizer: of the library; it pads on the left.
        place: what it was named by.
        batch_size: texts at once.
    """

    def __init__(self, model: Any, tokenizer: Any, place: str, batch_size: int) -> None:
        import transformers

        self._model = model
        self._tokenizer = tokenizer
        self._codec = _Codec(tokenizer)
        self._place = place
        self._batch_size = batch_size
        self._end_ids = _end_ids(model, tokenizer)
        # What a model's own settings say of penalties and sampling would fill every gap of those that are given.
        model.generation_config = transformers.GenerationConfig()

    def facts(self) -> dict[str, Any]:
        import transformers

        return {
            "model": f"hf:{self._place}",
            "digest": _digest(self._place, self._model),
            "parameters": sum(weight.numel() for weight in self._model.parameters()),
            "device": str(self._model.device),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "transformers": transformers.__version__,
        }

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        encoded = {request.prompt: self._encode(request, sampling) for request in requests}
        # Prompts of like length together, so that little is padded.
        ordered = sorted(requests, key=lambda request: len(encoded[request.prompt]))
        for start in range(0, len(ordered), self._batch_size):
            batch = ordered[start : start + self._batch_size]
            yield from self._complete(batch, [encoded[request.prompt] for request in batch], sampling)

    def _encode(self, request: Request, sampling: Sampling) -> list[int]:
        """The prompt's tokens; of a prompt that leaves no room, its end, as for our own models."""
        tokens: list[int] = self._tokenizer(request.prompt)["input_ids"]
        # Some tokenizers end every text they encode, and a prompt is not ended.
        while tokens and tokens[-1] in self._end_ids and tokens[-1] != self._tokenizer.bos_token_id:
            tokens.pop()
        context = getattr(self._model.config, "max_position_embeddings", None) or 1 << 30
        room = context - min(sampling.max_new_tokens, context // 2)
        return tokens[-room:] or [self._end_ids[0] if self._end_ids else 0]

    @torch.inference_mode()
    def _complete(self, batch: Sequence[Request], prompts: Sequence[list[int]], sampling: Sampling) -> list[Completion]:
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        width = max(map(len, prompts))
        pad = self._tokenizer.pad_token_id
        if pad is None:
            pad = self._end_ids[0] if self._end_ids else 0
        tokens_BT = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
        mask_BT = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        context = getattr(self._model.config, "max_position_embeddings", None) or 1 << 30
        rows = [
            _Row(self, prompt, sampling, room=min(sampling.max_new_tokens, context - len(prompt))) for prompt in prompts
        ]
        noise = _SeededChoice([request.seed for request in batch], [len(prompt) for prompt in prompts], width, sampling)
        self._model.generate(
            input_ids=tokens_BT.to(self._model.device),
            attention_mask=mask_BT.to(self._model.device),
            generation_config=GenerationConfig(
                max_new_tokens=max(row.room for row in rows),
                do_sample=False,
                pad_token_id=pad,
                eos_token_id=list(self._end_ids) or None,
            ),
            logits_processor=LogitsProcessorList([noise]),
            stopping_criteria=StoppingCriteriaList([_Ends(rows)]),
        )
        return [row.completion(request) for row, request in zip(rows, batch, strict=True)]

    def statistics(self) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass


class _Row:
    """A text that is being written."""

    def __init__(self, backend: HuggingFaceBackend, prompt: list[int], sampling: Sampling, *, room: int) -> None:
        self.room = room
        self._end_ids = backend._end_ids
        self._stops = StopFinder(backend._codec, prompt, sampling.stops)
        self._num_tokens = 0
        self._reason: Any = None

    def take(self, token: int) -> bool:
        """The next token, unless the text has ended; whether it has now."""
        if self._reason is None:
            self._num_tokens += 1
            if token in self._end_ids or self._stops.add(token):
                self._reason = "stop"
            elif self._num_tokens == self.room:
                self._reason = "length"
        return self._reason is not None

    def completion(self, request: Request) -> Completion:
        text, has_stop = self._stops.finish()
        return Completion(
            task_id=request.task_id,
            index=request.index,
            text=text,
            finish_reason="stop" if has_stop else self._reason or "length",
            num_tokens=self._num_tokens,
        )


class _Ends:
    """Stops the library's loop for rows whose text has ended."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._rows = rows

    def __call__(self, tokens_BT: Tensor, scores: Any, **_: Any) -> Tensor:
        last = tokens_BT[:, -1].tolist()
        ended = [row.take(token) for row, token in zip(self._rows, last, strict=True)]
        return torch.tensor(ended, device=tokens_BT.device)


class _SeededChoice:
    """Leaves of each row's logits the one token that its seed draws at its position."""

    def __init__(self, seeds: Sequence[int], lengths: Sequence[int], width: int, sampling: Sampling) -> None:
        self._seeds_B = torch.tensor(seeds)
        self._padding_B = width - torch.tensor(lengths)
        self._sampling = sampling

    def __call__(self, tokens_BT: Tensor, scores_BV: Tensor) -> Tensor:
        positions_B = tokens_BT.shape[1] - self._padding_B
        keys_B = noise_keys(self._seeds_B, positions_B).to(scores_BV.device)
        chosen_B = choose(scores_BV.float(), self._sampling, keys_B).tokens_R
        return torch.full_like(scores_BV, -torch.inf).scatter_(1, chosen_B[:, None], 0.0)


def _end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """What ends a text, as the model says it, or else its tokenizer."""
    said = getattr(model.generation_config, "eos_token_id", None)
    if said is None:
        said = tokenizer.eos_token_id
    return () if said is None else tuple(said) if isinstance(said, (list, tuple)) else (said,)


def _digest(place: str, model: Any) -> str:
    """sha256 over the files of a folder; of a model from the hub, its commit."""
    folder = Path(place)
    if not folder.is_dir():
        return str(getattr(model.config, "_commit_hash", None) or "")
    total = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), folder / "config.json"]):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
