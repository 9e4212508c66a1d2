"""Self-speculative decoding: the extra heads draft, the path to the next token verifies, and what agrees is kept.

After Stern et al. 2018 (blockwise parallel decoding) and Gloeckle et al. 2024, with three additions. Sampling too is
lossless: drafts and targets are drawn with the same noise, and a draft counts if it is the token that the target draws.
Rows are independent: each has its own position, and a finished one makes room for the next text at once. And the text
is the same to the last token for every number of drafts, batch and order, plain decoding included: choices that
rounding could turn are decided by 64-bit logits of the text alone.

Shapes: B rows, K tokens verified together, S positions, V vocabulary, E drafts, X states that the heads draft from.
"""

from __future__ import annotations

import collections
import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from models.backend import Completion, FinishReason, Request, Sampling
from models.cache import StaticCache, Window
from models.decode_stats import DecodeStats
from models.draft_length import DraftLength
from models.graphs import Graphs
from models.mtp import MTPTransformer
from models.sampling import choose, noise_keys, tolerance
from models.step import StepModel
from models.stops import StopFinder
from models.tokenizer import Tokenizer

PROMPT_CHUNK = 512
"""Tokens of a prompt that are run together: more take memory for nothing."""

STEPS_UNSEEN = 8
"""Steps that a GPU goes ahead before the host looks at what came of them."""


EXACT_PARAMETERS = 200_000_000
"""Up to this size a second copy in 64 bits, which decides close calls, costs little beside the rest."""


def exact_copy(model: MTPTransformer) -> MTPTransformer | None:
    """The model in 64 bits; None where it is too large for a copy, or its own precision too low for one to settle
    anything: 16-bit logits are nearly always close calls."""
    weight = model.output.weight
    if weight.dtype != torch.float32 or sum(part.numel() for part in model.parameters()) > EXACT_PARAMETERS:
        return None
    other = MTPTransformer(model.config).to(device=weight.device, dtype=torch.float64)
    other.load_state_dict(model.state_dict())
    return other.eval().requires_grad_(False)


@dataclass(kw_only=True, slots=True)
class Prompt:
    """A prompt, and what running it through the model has left: all samples of a problem begin with a copy of it."""

    tokens: list[int]
    uses: int = 0
    """Samples that have not begun."""
    cache: StaticCache | None = None
    states_XD: Tensor | None = None
    """What the heads draft from at the last position that has been run, the one before the prompt's last token."""
    history: int = 0
    """Positions that the extra heads have seen."""


@dataclass(kw_only=True, slots=True)
class Row:
    """A text that is being written."""

    request: Request
    stops: StopFinder
    position: int
    """Of its last token, which has not been run yet."""
    room: int
    """Tokens it may have."""
    history: int
    """Positions that the extra heads have seen: fewer than have been run where steps did not draft."""
    num_tokens: int = 0
    finish_reason: FinishReason | None = None


class Advance(NamedTuple):
    """What a step brought."""

    tokens_BK: Tensor
    """The target's tokens; of a row the first `kept` count."""
    kept_B: Tensor
    accepted_B: Tensor
    """Drafts that were right, whether or not the text ended before them."""


class Decoder:
    """Writes completions with one model.

    Args:
        step: the model.
        tokenizer: its tokenizer.
        batch_size: rows at once.
        draft_length: how many tokens are verified together.
        exact: the same model in 64-bit floats, which decides close calls; None to let rounding decide them.
    """

    def __init__(
        self,
        step: StepModel,
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        draft_length: DraftLength,
        exact: MTPTransformer | None,
    ) -> None:
        if step.config.max_positions < 2:
            raise ValueError("a model with a context of one token cannot write")
        self.step = step
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.draft_length = draft_length
        self.exact = exact
        self.stats = DecodeStats()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """A completion for every request, in the order in which they end."""
        if requests:
            yield from _Work(self, requests, sampling).run()


class _Work:
    """The rows at work, the requests that wait, and the tensors they live in."""

    def __init__(self, decoder: Decoder, requests: Sequence[Request], sampling: Sampling) -> None:
        self._decoder = decoder
        self._step = step = decoder.step
        self._stats = decoder.stats
        self._sampling = sampling
        # Near-certain drafts want the most probable token; flat ones agree more often when drawn like their targets.
        self._draft_sampling = sampling if sampling.temperature >= 0.5 else replace(sampling, temperature=0.0)
        self._prompts = self._encode(requests)
        # Samples of a problem follow one another, so that few prompts are held at a time.
        order = {text: place for place, text in enumerate(self._prompts)}
        self._waiting = collections.deque(sorted(requests, key=lambda request: order[request.prompt]))
        self._rows: list[Row] = []
        drafts = decoder.draft_length.most > 1 and step.config.num_future_tokens > 1
        self._heads = step.extra_heads if drafts else None
        self._keeps_inputs = bool(
            decoder.draft_length.adaptive and self._heads is not None and self._heads.needs_history
        )
        self._allocate(min(decoder.batch_size, len(requests)))
        self._graphs = Graphs(lambda rows, k: self._advance(rows, k, self._capacity))

    def _encode(self, requests: Sequence[Request]) -> dict[str, Prompt]:
        prompts: dict[str, Prompt] = {}
        context = self._step.config.max_positions
        room = context - min(self._sampling.max_new_tokens, context // 2)
        for request in requests:
            if request.prompt not in prompts:
                tokens = self._decoder.tokenizer.encode(request.prompt, start=True)
                self._stats.cut_prompts += len(tokens) > room
                # Something has to stand before the first token, also where the prompt is empty.
                prompts[request.prompt] = Prompt(tokens=tokens[-room:] or [self._decoder.tokenizer.end_ids[0]])
            prompts[request.prompt].uses += 1
        return prompts

    def _allocate(self, rows: int) -> None:
        step = self._step
        longest = max(len(prompt.tokens) for prompt in self._prompts.values())
        length = min(longest + self._sampling.max_new_tokens, step.config.max_positions)
        # Drafts may point beyond the end. A multiple of 8 is what the attention kernels of GPUs like.
        self._capacity = -(-(length + step.config.num_future_tokens) // 8) * 8
        zeros = functools.partial(torch.zeros, dtype=torch.int64, device=step.device)
        self._cache = step.new_cache(rows, self._capacity, keep_inputs=self._keeps_inputs)
        self._text_BS = zeros((rows, self._capacity))
        self._position_B = zeros(rows)
        self._limit_B = zeros(rows)
        self._seed_B = zeros(rows)
        self._ends = torch.tensor(self._decoder.tokenizer.end_ids, dtype=torch.int64, device=step.device)
        num_states = self._heads.num_states if self._heads is not None else 0
        self._states_BXD = torch.zeros((rows, num_states, step.config.dim), dtype=step.dtype, device=step.device)

    def run(self) -> Iterator[Completion]:
        """Steps until nothing is left. Whoever consumes it may do what they like between two completions."""
        self._fill()
        while self._rows:
            yield from self._one_round()

    # -----------------------------------------------------------------------------------------------------------------
    # Rows come and go
    # -----------------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        while self._waiting and len(self._rows) < self._cache.rows:
            self._rows.append(self._begin(len(self._rows)))

    @torch.inference_mode()
    def _begin(self, row: int) -> Row:
        """Gives the next request a row."""
        started = time.perf_counter()
        request = self._waiting.popleft()
        prompt = self._prompts[request.prompt]
        count = len(prompt.tokens)
        if prompt.cache is None and count > 1:
            self._run_prompt(prompt)
        if prompt.cache is not None:
            self._cache.copy_row(row, prompt.cache, 0, count - 1)
        if prompt.states_XD is not None:
            self._states_BXD[row] = prompt.states_XD
        limit = min(count - 1 + self._sampling.max_new_tokens, self._step.config.max_positions - 1)
        self._text_BS[row, :count] = torch.tensor(prompt.tokens)
        self._position_B[row] = count - 1
        self._limit_B[row] = limit
        self._seed_B[row] = request.seed
        prompt.uses -= 1
        if not prompt.uses:
            prompt.cache = prompt.states_XD = None
        self._stats.prompt_s += time.perf_counter() - started
        stops = StopFinder(self._decoder.tokenizer, prompt.tokens, self._sampling.stops)
        return Row(request=request, stops=stops, position=count - 1, room=limit - count + 1, history=prompt.history)

    def _run_prompt(self, prompt: Prompt) -> None:
        """All of it but the last token, which is the first that every sample runs."""
        step, count = self._step, len(prompt.tokens) - 1
        prompt.cache = cache = step.new_cache(1, count, keep_inputs=self._keeps_inputs)
        tokens_1K = torch.tensor([prompt.tokens[:-1]], device=step.device)
        positions_1K = torch.arange(count, device=step.device)[None]
        for start in range(0, count, PROMPT_CHUNK):
            part = slice(start, start + PROMPT_CHUNK)
            window = Window(cache, 0, positions_1K[:, part], min(start + PROMPT_CHUNK, count))
            _, states = step.run(tokens_1K[:, part], positions_1K[:, part], window)
            if cache.inputs_BSD is not None:
                cache.inputs_BSD[:, part] = states[:, :, 0]
            if self._heads is not None and self._decoder.draft_length.drafts_now:
                prompt.states_XD = self._heads.extend(states, positions_1K[:, part], window)[0, -1]
                prompt.history = count
        self._stats.prompt_tokens += count

    def _replace(self, row: int) -> None:
        """A text has ended: the next request takes its row, or the last row moves there."""
        if self._waiting:
            self._rows[row] = self._begin(row)
            return
        last = self._rows.pop()
        end = len(self._rows)
        if row < end:
            self._rows[row] = last
            self._move(row, end, last.position)

    @torch.inference_mode()
    def _move(self, row: int, end: int, length: int) -> None:
        self._cache.copy_row(row, self._cache, end, length)
        for tensor in (self._text_BS, self._position_B, self._limit_B, self._seed_B, self._states_BXD):
            tensor[row] = tensor[end]

    # -----------------------------------------------------------------------------------------------------------------
    # Steps
    # -----------------------------------------------------------------------------------------------------------------

    def _one_round(self) -> Iterator[Completion]:
        """One step, or on a GPU some that the host does not wait for, and the texts that ended in it."""
        rows = len(self._rows)
        k = self._decoder.draft_length.choose(rows)
        started = time.perf_counter()
        if k > 1:
            self._catch_up()
        advances = self._advances(rows, k)
        kept, accepted, tokens = (torch.stack(parts).tolist() for parts in zip(*_columns(advances), strict=True))
        seconds = (time.perf_counter() - started) / len(advances)
        for step_kept, step_accepted, step_tokens in zip(kept, accepted, tokens, strict=True):
            self._take(k, seconds, step_kept, step_accepted, step_tokens)
        ended = [row for row, text in enumerate(self._rows) if text.finish_reason is not None]
        done = [self._completed(self._rows[row]) for row in ended]
        for row in reversed(ended):
            self._replace(row)
        yield from done

    def _advances(self, rows: int, k: int) -> list[Advance]:
        if self._step.device.type != "cuda" or self._decoder.exact is not None:
            span = max(row.position for row in self._rows) + k
            return [self._advance(rows, k, span)]
        # Few shapes, so that each is worth a graph. Rows without a text stay where they are.
        rows = min(self._cache.rows, 1 << (rows - 1).bit_length())
        return [Advance(*self._graphs(rows, k)) for _ in range(STEPS_UNSEEN)]

    def _take(self, k: int, seconds: float, kept: list[int], accepted: list[int], tokens: list[list[int]]) -> None:
        """The host's share of a step: texts, ends, counts."""
        passes, whole = 0, []
        for row, text in enumerate(self._rows):
            if text.finish_reason is not None:
                continue
            passes += 1
            text.position += kept[row]
            if k > 1:
                text.history = text.position
            for token in tokens[row][: kept[row]]:
                if self._ends_with(text, token):
                    break
            if text.finish_reason is None:
                whole.append(accepted[row])
        self._stats.add_step(k, seconds, passes, whole)
        self._decoder.draft_length.observe(k, passes, seconds, whole)

    def _ends_with(self, text: Row, token: int) -> bool:
        text.num_tokens += 1
        if token in self._decoder.tokenizer.end_ids or text.stops.add(token):
            text.finish_reason = "stop"
        elif text.num_tokens == text.room:
            text.finish_reason = "length"
        return text.finish_reason is not None

    def _completed(self, text: Row) -> Completion:
        written, has_stop = text.stops.finish()
        self._stats.completions += 1
        self._stats.tokens += text.num_tokens
        assert text.finish_reason is not None
        return Completion(
            task_id=text.request.task_id,
            index=text.request.index,
            text=written,
            finish_reason="stop" if has_stop else text.finish_reason,
            num_tokens=text.num_tokens,
        )

    @torch.inference_mode()
    def _catch_up(self) -> None:
        """Shows the extra heads what steps without drafts have left out."""
        inputs = self._cache.inputs_BSD
        if inputs is None or self._heads is None:
            return
        for row, text in enumerate(self._rows):
            if text.history < text.position:
                positions = torch.arange(text.history, text.position, device=self._step.device)[None]
                window = Window(self._cache, row, positions, text.position)
                states = self._heads.extend(inputs[row : row + 1, positions[0], None], positions, window)
                self._states_BXD[row] = states[0, -1]
                text.history = text.position

    @torch.inference_mode()
    def _advance(self, rows: int, k: int, span: int) -> Advance:
        """Drafts, verifies and commits; nothing in it waits for the device, unless close calls have to be decided."""
        position_B = self._position_B[:rows]
        positions_BK = position_B[:, None] + torch.arange(k, device=position_B.device)
        keys_BK = noise_keys(self._seed_B[:rows, None], positions_BK + 1)
        tokens_BK = self._text_BS[:rows].gather(1, position_B[:, None])
        if k > 1:
            tokens_BK = torch.cat([tokens_BK, self._drafts(rows, k, span, keys_BK)], dim=1)
        window = Window(self._cache, 0, positions_BK, span)
        next_BKD, states_BKXD = self._step.run(tokens_BK, positions_BK, window)
        targets_BK = self._targets(self._step.unembed(next_BKD), keys_BK, tokens_BK)
        accepted_B = (targets_BK[:, :-1] == tokens_BK[:, 1:]).cumprod(1).sum(1)
        kept_B = self._commit(targets_BK, positions_BK, accepted_B)
        if self._heads is not None:
            self._remember(states_BKXD, positions_BK, window, kept_B)
        return Advance(targets_BK, kept_B, accepted_B)

    def _drafts(self, rows: int, k: int, span: int, keys_BK: Tensor) -> Tensor:
        """drafts_BE, the k - 1 tokens after the next one, as the last position that has been run foresees them."""
        assert self._heads is not None
        last_B = (self._position_B[:rows] - 1).clamp(min=0)
        window = Window(self._cache, 0, last_B[:, None], span)
        logits_BEV = self._heads.draft(self._states_BXD[:rows], last_B, window, k - 1)
        choice = choose(logits_BEV.flatten(0, 1), self._draft_sampling, keys_BK[:, :-1].flatten())
        return choice.tokens_R.view(rows, k - 1)

    def _targets(self, logits_BKV: Tensor, keys_BK: Tensor, tokens_BK: Tensor) -> Tensor:
        """targets_BK: what plain decoding would write after each of the tokens."""
        logits_RV, keys_R = logits_BKV.flatten(0, 1), keys_BK.flatten()
        if self._decoder.exact is None:
            return choose(logits_RV, self._sampling, keys_R).tokens_R.view_as(tokens_BK)
        choice = choose(logits_RV, self._sampling, keys_R, tolerance_R=tolerance(logits_RV))
        targets_BK = choice.tokens_R.view_as(tokens_BK)
        assert choice.doubtful_R is not None
        doubtful_BK = choice.doubtful_R.view_as(tokens_BK)
        if doubtful_BK.any():
            for row in doubtful_BK.any(1).nonzero()[:, 0].tolist():
                self._decide(
                    row, targets_BK[row], doubtful_BK[row].tolist(), tokens_BK[row], keys_BK[row], logits_BKV.dtype
                )
        return targets_BK

    def _decide(
        self, row: int, targets_K: Tensor, doubtful: list[bool], tokens_K: Tensor, keys_K: Tensor, dtype: torch.dtype
    ) -> None:
        """Replaces a row's doubtful targets, up to the first that refutes its draft, by those of the exact model."""
        assert self._decoder.exact is not None
        before = self._text_BS[row, : self._rows[row].position]
        for j, is_doubtful in enumerate(doubtful):
            if is_doubtful:
                text_1T = torch.cat([before, tokens_K[: j + 1]])[None]
                logits_1V = self._decoder.exact.next_logits(text_1T)
                targets_K[j] = choose(logits_1V, self._sampling, keys_K[j : j + 1], noise_dtype=dtype).tokens_R[0]
                self._stats.close_calls += 1
            if j + 1 < len(doubtful) and targets_K[j] != tokens_K[j + 1]:
                return

    def _commit(self, targets_BK: Tensor, positions_BK: Tensor, accepted_B: Tensor) -> Tensor:
        """kept_B: how many targets each text takes; the first end of a text and its last position cut them."""
        rows, k = targets_BK.shape
        position_B, limit_B = self._position_B[:rows], self._limit_B[:rows]
        ends_BK = (targets_BK[..., None] == self._ends).any(-1)
        before_end_B = (~ends_BK).cumprod(1).sum(1)
        kept_B = torch.minimum(torch.minimum(accepted_B, before_end_B) + 1, limit_B - position_B)
        text_BS = self._text_BS[:rows]
        places_BK = positions_BK + 1
        is_kept_BK = torch.arange(k, device=kept_B.device) < kept_B[:, None]
        text_BS.scatter_(1, places_BK, torch.where(is_kept_BK, targets_BK, text_BS.gather(1, places_BK)))
        position_B += kept_B
        # A text that has ended stays where it is until the host gives its row away.
        limit_B.copy_(torch.where(before_end_B < kept_B, position_B, limit_B))
        return kept_B

    def _remember(self, states_BKXD: Tensor, positions_BK: Tensor, window: Window, kept_B: Tensor) -> None:
        """Keeps what the next drafts are made from: the states at the last token that was run and kept."""
        assert self._heads is not None
        rows, k = positions_BK.shape
        if self._cache.inputs_BSD is not None:
            inputs_BSD = self._cache.inputs_BSD[:rows]
            inputs_BSD.scatter_(1, positions_BK[..., None].expand_as(states_BKXD[:, :, 0]), states_BKXD[:, :, 0])
        if k > 1 or not self._heads.needs_history:
            states_BKXD = self._heads.extend(states_BKXD, positions_BK, window)
            last_B = (kept_B - 1).clamp(min=0)
            self._states_BXD[:rows] = states_BKXD[torch.arange(rows, device=last_B.device), last_B]


def _columns(advances: Sequence[Advance]) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [(advance.kept_B, advance.accepted_B, advance.tokens_BK) for advance in advances]
