"""Any causal language model of the library transformers as a backend.

The library's own loop runs the model; which token follows is chosen here, by noise that depends on the request's seed
and the position alone. Where rounding, which differs with the shape of a batch, could turn a choice, the text is run
through the model again by itself. So a sample does not depend on its batch, for models of 32 and 64 bits; with 16 bits
rounding could turn nearly every choice, and none is asked again.

Shapes: B texts of a batch, T positions with the padding on the left, V vocabulary, R rows in doubt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.backend import Completion, FinishReason, ModelUnavailable, Request, Sampling
from models.catalog import Options
from models.sampling import choose, noise_keys, tolerance
from models.stops import StopFinder

BATCH_SIZE = 8


def open_backend(place: str, options: Options) -> HuggingFaceBackend:
    """`hf:NAME_OR_DIR`.

    Raises:
        ModelUnavailable: transformers is absent, the model cannot be had, or the device is not there.
    """
    return HuggingFaceBackend(place, device=options.device, dtype=options.dtype, batch_size=options.batch_size)


class HuggingFaceBackend:
    """A model and its tokenizer, as transformers loads them. Code that comes with a model is not run.

    Args:
        name_or_dir: on the hub, or a folder.
        device: `cpu`, `cuda`, or `auto` for the second where there is one.
        dtype: `float64`, `float32`, `bfloat16`, `float16`; `auto`: 32 bits on a CPU, 16 on a GPU.
        batch_size: texts at once.

    Raises:
        ModelUnavailable: transformers is absent, the model cannot be had, or the device is not there.
    """

    def __init__(
        self, name_or_dir: str, *, device: str = "auto", dtype: str = "auto", batch_size: int = BATCH_SIZE
    ) -> None:
        from models.mtp_backend import chosen_device

        place = chosen_device(device)
        name = dtype if dtype != "auto" else "bfloat16" if place.type == "cuda" else "float32"
        self._model, self._tokenizer = _load(name_or_dir, place, getattr(torch, name))
        self._batch_size = batch_size
        self._codec = _Codec(self._tokenizer)
        self._end_ids = _end_ids(self._model, self._tokenizer)
        self._context = _context(self._model)
        self._exact = self._model.dtype in (torch.float32, torch.float64)
        self._facts = self._identity(name_or_dir)
        self._counts = dict.fromkeys(("completions", "tokens", "prompt_tokens", "close_calls", "cut_prompts"), 0)

    def _identity(self, name_or_dir: str) -> dict[str, Any]:
        import transformers

        # What a model's own settings say of penalties and sampling would fill every gap in ours.
        self._model.generation_config = transformers.GenerationConfig()
        return {
            "model": f"hf:{name_or_dir}",
            "digest": _digest(name_or_dir, self._model),
            "parameters": sum(weight.numel() for weight in self._model.parameters()),
            "device": str(self._model.device),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "exact": self._exact,
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        encoded: dict[str, list[int]] = {}
        for request in requests:
            if request.prompt not in encoded:
                encoded[request.prompt] = self._encode(request, sampling)
        # Prompts of like length together, so that little is padded.
        ordered = sorted(requests, key=lambda request: len(encoded[request.prompt]))
        for start in range(0, len(ordered), self._batch_size):
            batch = ordered[start : start + self._batch_size]
            yield from self._complete(batch, [encoded[request.prompt] for request in batch], sampling)

    def statistics(self) -> Mapping[str, Any]:
        return dict(self._counts)

    def close(self) -> None:
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _encode(self, request: Request, sampling: Sampling) -> list[int]:
        """The prompt's tokens; of a prompt that leaves no room its end, as for models of ours."""
        tokens: list[int] = self._tokenizer(request.prompt)["input_ids"]
        start = self._tokenizer.bos_token_id
        # Some tokenizers end every text that they encode, but a prompt goes on.
        while tokens and tokens[-1] in self._end_ids and tokens[-1] != start:
            tokens.pop()
        if self._context is not None:
            room = self._context - min(sampling.max_new_tokens, self._context // 2)
            self._counts["cut_prompts"] += len(tokens) > room
            tokens = tokens[-room:]
        # Something has to stand before the first token, also where the prompt is empty.
        return tokens or [start if start is not None else self._pad_id()]

    def _pad_id(self) -> int:
        pad: int | None = self._tokenizer.pad_token_id
        return pad if pad is not None else self._end_ids[0] if self._end_ids else 0

    @torch.inference_mode()
    def _complete(self, batch: Sequence[Request], prompts: Sequence[list[int]], sampling: Sampling) -> list[Completion]:
        import transformers

        width, pad = max(map(len, prompts)), self._pad_id()
        tokens_BT = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
        mask_BT = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        texts = [_Text(self, request, prompt, sampling) for request, prompt in zip(batch, prompts, strict=True)]
        choice = _SeededChoice(self._model, texts, width, sampling, exact=self._exact)
        self._model.generate(
            input_ids=tokens_BT.to(self._model.device),
            attention_mask=mask_BT.to(self._model.device),
            generation_config=transformers.GenerationConfig(
                max_new_tokens=max(text.room for text in texts),
                do_sample=False,
                pad_token_id=pad,
                eos_token_id=list(self._end_ids) or None,
            ),
            logits_processor=transformers.LogitsProcessorList([choice]),
            stopping_criteria=transformers.StoppingCriteriaList([_Ends(texts)]),
        )
        completions = [text.completion() for text in texts]
        self._counts["completions"] += len(completions)
        self._counts["tokens"] += sum(text.num_tokens for text in texts)
        self._counts["prompt_tokens"] += sum(map(len, prompts))
        self._counts["close_calls"] += choice.close_calls
        return completions


# ---------------------------------------------------------------------------------------------------------------------
# Inside the library's loop
# ---------------------------------------------------------------------------------------------------------------------


class _Codec:
    """A tokenizer of transformers as `StopFinder` wants it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class _Text:
    """A text that is being written."""

    def __init__(self, backend: HuggingFaceBackend, request: Request, prompt: list[int], sampling: Sampling) -> None:
        self.request = request
        self.prompt_length = len(prompt)
        self.room = sampling.max_new_tokens
        if backend._context is not None:
            self.room = min(self.room, backend._context - len(prompt))
        self.num_tokens = 0
        self.reason: FinishReason | None = None
        self._end_ids = backend._end_ids
        codec: Any = backend._codec
        self._stops = StopFinder(codec, prompt, sampling.stops)

    def take(self, token: int) -> bool:
        """The next token, unless the text has ended; whether it has now."""
        if self.reason is None:
            self.num_tokens += 1
            if token in self._end_ids or self._stops.add(token):
                self.reason = "stop"
            elif self.num_tokens == self.room:
                self.reason = "length"
        return self.reason is not None

    def completion(self) -> Completion:
        assert self.reason is not None
        text, has_stop = self._stops.finish()
        return Completion(
            task_id=self.request.task_id,
            index=self.request.index,
            text=text,
            finish_reason="stop" if has_stop else self.reason,
            num_tokens=self.num_tokens,
        )


class _Ends:
    """Stops the loop for texts that have ended."""

    def __init__(self, texts: Sequence[_Text]) -> None:
        self._texts = texts

    def __call__(self, tokens_BT: Tensor, scores: Any, **_: Any) -> Tensor:
        last_B = tokens_BT[:, -1].tolist()
        ended_B = [text.take(token) for text, token in zip(self._texts, last_B, strict=True)]
        return torch.tensor(ended_B, device=tokens_BT.device)


class _SeededChoice:
    """Leaves of each row's logits only the token that its seed draws at its position."""

    def __init__(self, model: Any, texts: Sequence[_Text], width: int, sampling: Sampling, *, exact: bool) -> None:
        self.close_calls = 0
        self._model = model
        self._texts = texts
        self._seeds_B = torch.tensor([text.request.seed for text in texts])
        self._padding_B = width - torch.tensor([text.prompt_length for text in texts])
        self._sampling = sampling
        self._exact = exact

    def __call__(self, tokens_BT: Tensor, logits_BV: Tensor) -> Tensor:
        logits_BV = logits_BV.float()
        keys_B = noise_keys(self._seeds_B, tokens_BT.shape[1] - self._padding_B).to(logits_BV.device)
        within_B = tolerance(logits_BV) if self._exact else None
        choice = choose(logits_BV, self._sampling, keys_B, tolerance_R=within_B)
        chosen_B = choice.tokens_R
        if choice.doubtful_R is not None:
            for row in choice.doubtful_R.nonzero()[:, 0].tolist():
                if self._texts[row].reason is None:
                    chosen_B[row] = self._alone(tokens_BT[row, int(self._padding_B[row]) :], keys_B[row])
        return torch.full_like(logits_BV, -torch.inf).scatter_(1, chosen_B[:, None], 0.0)

    def _alone(self, text_T: Tensor, key: Tensor) -> Tensor:
        """The token that follows a text: no batch, no padding and no cache has a say."""
        self.close_calls += 1
        logits_1V = self._model(input_ids=text_T[None], use_cache=False).logits[:, -1].float()
        return choose(logits_1V, self._sampling, key[None]).tokens_R[0]


# ---------------------------------------------------------------------------------------------------------------------
# Loading
# ---------------------------------------------------------------------------------------------------------------------


def _load(place: str, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    """(model, tokenizer)"""
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ModelUnavailable(
            f"hf:{place} needs the package {error.name}; type: pip install 'mtp-harness[hf]'"
        ) from error
    try:
        # Unless it is told no, the library asks at the terminal whether to run a model's own code.
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, padding_side="left", trust_remote_code=False)
        model, found = transformers.AutoModelForCausalLM.from_pretrained(
            place,
            trust_remote_code=False,
            output_loading_info=True,
            **{_dtype_keyword(transformers.__version__): dtype},
        )
        model = model.to(device).eval()
    except Exception as error:  # of the library, of the hub's HTTP client, of torch: they have nothing in common
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelUnavailable(
            f"hf:{place} cannot be loaded: {reason.strip()}; accepted: a folder that save_pretrained wrote, or a name "
            "on the hub, which `hf download NAME` fetches"
        ) from error
    _refuse_gaps(place, found)
    return model, tokenizer


def _refuse_gaps(place: str, found: Mapping[str, Any]) -> None:
    """The library fills what is missing with random numbers, and only warns of it."""
    gaps = sorted(map(str, [*found.get("missing_keys", ()), *found.get("mismatched_keys", ())]))
    if gaps:
        raise ModelUnavailable(
            f"hf:{place} lacks {len(gaps)} weights of its model, {gaps[0]} for example; is the download whole, and is "
            "it a language model that writes?"
        )


def _dtype_keyword(version: str) -> str:
    major, minor = version.split(".")[:2]
    return "dtype" if (int(major), int(minor)) >= (4, 56) else "torch_dtype"


def _end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """What ends a text, as the model says it, or else its tokenizer."""
    for told in (model.generation_config, model.config, tokenizer):
        said = getattr(told, "eos_token_id", None)
        if said is not None:
            return tuple(said) if isinstance(said, (list, tuple)) else (said,)
    return ()


def _context(model: Any) -> int | None:
    """The most tokens of prompt and answer; None where the model names no limit."""
    config = model.config.get_text_config()
    found = getattr(config, "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


_DECISIVE = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json")


def _digest(place: str, model: Any) -> str:
    """sha256 over the files of a folder that decide what the model answers; of a model from the hub, its commit."""
    folder = Path(place)
    if not folder.is_dir():
        return str(getattr(model.config, "_commit_hash", None) or "")
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    total = hashlib.sha256()
    for path in [*weights, *(folder / name for name in _DECISIVE)]:
        if path.exists():
            with path.open("rb") as file:
                total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
