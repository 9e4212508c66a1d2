"""Speculative decoding writes what plain decoding writes."""

from __future__ import annotations

import dataclasses
import random

import pytest
import torch
from small import Digits, decode, small_model, taught

from models.backend import Completion, Sampling
from models.draft_length import FastestLength
from models.mtp import HeadType, MTPTransformer
from models.sampling import choose, noise_keys
from models.tokenizer import ByteTokenizer

HEADS: list[HeadType] = ["transformer", "causal", "anticausal", "linear", "replicated"]
SAMPLINGS = {
    "greedy": Sampling(temperature=0.0, max_new_tokens=24),
    "T0.2": Sampling(temperature=0.2, top_p=0.95, max_new_tokens=24),
    "T0.8": Sampling(temperature=0.8, top_p=0.95, max_new_tokens=24),
    "T1": Sampling(temperature=1.0, top_p=0.95, max_new_tokens=24),
}
PROMPTS = ["def f(x):", "", "a", "return sum(" * 4, "x = 1\n", "class Much longer than the others, by far:\n    pass"]
TEXTS = [
    'def add(a, b):\n    """Sum."""\n    return a + b\n',
    'def sub(a, b):\n    """Difference."""\n    return a - b\n',
    "for i in range(10):\n    print(i, i * i)\n",
]


def plainly(model: MTPTransformer, prompt: str, sampling: Sampling, seed: int, tokenizer: object = None) -> list[int]:
    """Plain decoding with nothing of the decoder in it: the whole text through the model for every token."""
    tokenizer = tokenizer or ByteTokenizer()
    text = tokenizer.encode(prompt, start=True) or [tokenizer.end_ids[0]]
    written: list[int] = []
    for _ in range(min(sampling.max_new_tokens, model.config.max_positions - len(text))):
        logits = model(torch.tensor([text]))[:, -1, 0]
        keys = noise_keys(torch.tensor([seed]), torch.tensor([len(text)]))
        token = int(choose(logits, sampling, keys).tokens_R)
        text.append(token)
        written.append(token)
        if token in tokenizer.end_ids:
            break
    return written


def texts(completions: dict[tuple[str, int], Completion]) -> dict[tuple[str, int], tuple[object, ...]]:
    return {key: (one.text, one.finish_reason, one.num_tokens) for key, one in completions.items()}


@pytest.fixture(scope="module")
def trained() -> dict[tuple[HeadType, int], MTPTransformer]:
    """Models that have learnt enough to have drafts accepted, one for each kind of heads."""
    return {
        (head_type, n): taught(small_model(n=n, head_type=head_type, spread=0.1, dtype=torch.float32), TEXTS, steps=40)
        for head_type in HEADS
        for n in (2, 4)
    }


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("n", [pytest.param(2, marks=pytest.mark.slow), 4, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("head_type", HEADS)
def test_random_models_write_the_text_of_a_decoder_without_cache_batch_or_drafts(
    head_type: HeadType, n: int, sampling: Sampling
) -> None:
    model = small_model(n=n, head_type=head_type)
    expected = {
        (f"t{place}", 0): plainly(model, prompt, sampling, 1000 * place) for place, prompt in enumerate(PROMPTS)
    }
    for k, batch_size in [(1, 3), (n, 1), (n, 4), (max(2, n // 2), 64)]:
        found, _ = decode(model, PROMPTS, sampling, k=k, batch_size=batch_size)
        for key, tokens in expected.items():
            ends = tokens[-1] == 256
            assert found[key].num_tokens == len(tokens)
            assert found[key].text == ByteTokenizer().decode(tokens)
            assert found[key].finish_reason == ("stop" if ends else "length")


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("n", [pytest.param(2, marks=pytest.mark.slow), 4])
@pytest.mark.parametrize("head_type", HEADS)
def test_taught_models_in_32_bits_write_the_same_for_every_k_batch_and_order(
    trained: dict[tuple[HeadType, int], MTPTransformer], head_type: HeadType, n: int, sampling: Sampling
) -> None:
    model = trained[head_type, n]
    exact = copied(model, torch.float64)
    prompts = [text[: 4 + 3 * place] for place, text in enumerate(TEXTS * 2)] + PROMPTS
    expected, _ = decode(model, prompts, sampling, k=1, batch_size=1, exact=exact, samples=2)
    for k, batch_size in [(n, 1), (2, 5), (n, 24), (1, 64), (n, 64)]:
        found, stats = decode(model, prompts, sampling, k=k, batch_size=batch_size, exact=exact, samples=2)
        assert texts(found) == texts(expected)
        if k == n and sampling.temperature <= 0.2:
            assert stats.passes < stats.tokens  # drafts were accepted, so the equality says something


def copied(model: MTPTransformer, dtype: torch.dtype) -> MTPTransformer:
    """The same weights in another type, in memory of their own."""
    other = MTPTransformer(model.config).to(dtype)
    other.load_state_dict(model.state_dict())
    return other.eval().requires_grad_(False)


@pytest.mark.parametrize("head_type", HEADS)
def test_a_k_that_changes_from_step_to_step_changes_no_text(
    trained: dict[tuple[HeadType, int], MTPTransformer], head_type: HeadType
) -> None:
    model, sampling = trained[head_type, 4], SAMPLINGS["T0.8"]
    exact = copied(model, torch.float64)
    expected, _ = decode(model, PROMPTS, sampling, k=1, exact=exact, samples=3)
    for seed in range(4):
        found, stats = decode(model, PROMPTS, sampling, draft_length=RandomLength(4, seed), exact=exact, samples=3)
        assert texts(found) == texts(expected)
        assert len(stats.steps) > 2
    found, _ = decode(model, PROMPTS, sampling, draft_length=FastestLength(4), exact=exact, samples=3)
    assert texts(found) == texts(expected)


class RandomLength:
    """Any k, at any step."""

    adaptive = True

    def __init__(self, most: int, seed: int) -> None:
        self.most = most
        self._random = random.Random(seed)
        self._last = 1

    @property
    def drafts_now(self) -> bool:
        return self._last > 1

    def choose(self, rows: int) -> int:
        self._last = self._random.choice([1, 1, self._random.randint(1, self.most)])
        return self._last

    def observe(self, k: int, rows: int, seconds: float, accepted: object) -> None:
        pass


class Recorded:
    """A fixed k that keeps what each step accepted."""

    adaptive = False

    def __init__(self, k: int) -> None:
        self.most = k
        self.drafts_now = k > 1
        self.accepted: list[int] = []

    def choose(self, rows: int) -> int:
        return self.most

    def observe(self, k: int, rows: int, seconds: float, accepted: list[int]) -> None:
        self.accepted += accepted


@pytest.mark.parametrize("temperature", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("k", [pytest.param(2, marks=pytest.mark.slow), 4])
@pytest.mark.parametrize("head_type", HEADS)
def test_every_step_accepts_what_heads_without_a_cache_would_have_had_accepted(
    trained: dict[tuple[HeadType, int], MTPTransformer], head_type: HeadType, k: int, temperature: float
) -> None:
    """Faults in the drafts' cache never change a text, only how much of it is accepted: here they show."""
    model = copied(trained[head_type, 4], torch.float64)
    sampling = Sampling(temperature=temperature, top_p=0.95, max_new_tokens=40)
    drawn = dataclasses.replace(sampling, temperature=temperature if temperature >= 0.5 else 0.0)
    for place, text in enumerate([*TEXTS, "zzz"]):
        recorded = Recorded(k)
        found, _ = decode(copied(model, torch.float64), [text[:9]], sampling, draft_length=recorded, batch_size=1)
        prompt = ByteTokenizer().encode(text[:9], start=True)
        written = plainly(model, text[:9], sampling, 0)
        assert found["t0", 0].num_tokens == len(written), place
        assert recorded.accepted == replayed(model, prompt, written, k, drawn)


def replayed(model: MTPTransformer, prompt: list[int], written: list[int], k: int, drawn: Sampling) -> list[int]:
    """Drafts accepted by each step before the last, from one pass over the finished text."""
    text = prompt + written
    logits = model(torch.tensor([text]), return_all_heads=True)[0]
    position, accepted = len(prompt) - 1, []
    while True:
        count = 0
        for j in range(1, k):
            key = noise_keys(torch.tensor([0]), torch.tensor([position + j]))
            draft = int(choose(logits[position - 1, j][None], drawn, key).tokens_R)
            if position + j >= len(text) or draft != text[position + j]:
                break
            count += 1
        position += count + 1
        if position >= len(text) - 1:
            return accepted
        accepted.append(count)


# ---------------------------------------------------------------------------------------------------------------------
# Where texts end
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fluent() -> MTPTransformer:
    """Knows the texts by heart, so that whole blocks are accepted and texts end inside them."""
    return taught(small_model(n=4, spread=0.1, dtype=torch.float32), TEXTS, steps=400).double()


GREEDY = Sampling(temperature=0.0, max_new_tokens=60)


def test_the_fluent_model_has_whole_blocks_accepted(fluent: MTPTransformer) -> None:
    _, stats = decode(fluent, [text[:8] for text in TEXTS], GREEDY, k=4)
    assert stats.accepted[4][3] > stats.passes / 2


@pytest.mark.parametrize("length", range(1, 14))
def test_max_new_tokens_is_kept_to_the_token(fluent: MTPTransformer, length: int) -> None:
    sampling = dataclasses.replace(GREEDY, max_new_tokens=length)
    prompts = [text[:8] for text in TEXTS]
    found, stats = decode(fluent, prompts, sampling, k=4, batch_size=2)
    assert [one.num_tokens for one in found.values()] == [length] * 3
    assert {one.finish_reason for one in found.values()} == {"length"}
    assert texts(found) == texts(decode(fluent, prompts, sampling, k=1)[0])
    assert stats.tokens == 3 * length


@pytest.mark.parametrize("cut", range(6, 22))
def test_an_end_anywhere_in_a_block_ends_the_text_there(fluent: MTPTransformer, cut: int) -> None:
    text = TEXTS[2]
    found, _ = decode(fluent, [text[:-cut]], GREEDY, k=4)
    assert found["t0", 0].text == text[-cut:]
    assert found["t0", 0].finish_reason == "stop"
    assert found["t0", 0].num_tokens == cut + 1


@pytest.mark.parametrize("stop", ["i", "i * i", "i)", "\n", "print", "range(10):\n    print(i, i * i", "(i, i * i)\n"])
@pytest.mark.parametrize("start", range(5, 14))
def test_a_stop_string_anywhere_in_a_block_ends_the_text_before_it(
    fluent: MTPTransformer, start: int, stop: str
) -> None:
    sampling = dataclasses.replace(GREEDY, stops=("never", stop))
    text = TEXTS[2]
    found, _ = decode(fluent, [text[:start]], sampling, k=4)
    expected = text[start:].split(stop)[0]
    assert found["t0", 0].text == expected
    assert found["t0", 0].finish_reason == "stop"
    ends_itself = stop not in text[start:]
    assert found["t0", 0].num_tokens == len(expected) + (1 if ends_itself else len(stop))


def test_a_stop_string_that_began_in_the_prompt_does_not_count(fluent: MTPTransformer) -> None:
    sampling = dataclasses.replace(GREEDY, stops=("range",))
    found, _ = decode(fluent, [TEXTS[2][:11]], sampling, k=4)
    assert TEXTS[2][9:14] == "range"
    assert found["t0", 0].text == TEXTS[2][11:]


def test_the_end_of_the_context_ends_a_text(fluent: MTPTransformer) -> None:
    short = MTPTransformer(dataclasses.replace(fluent.config, max_positions=20)).double()
    short.load_state_dict(fluent.state_dict())
    prompt = TEXTS[0][:9]
    for k in (1, 4):
        found, stats = decode(short.eval().requires_grad_(False), [prompt], GREEDY, k=k)
        assert found["t0", 0].finish_reason == "length"
        assert found["t0", 0].num_tokens == 20 - 10
        assert stats.cut_prompts == 0


def test_of_a_prompt_longer_than_the_context_the_end_is_used_and_counted(fluent: MTPTransformer) -> None:
    sampling = dataclasses.replace(GREEDY, max_new_tokens=8)
    long = "x" * 500 + TEXTS[0][:20]
    found, stats = decode(fluent, [long, "y" + long], sampling, k=4)
    assert stats.cut_prompts == 2
    assert texts(found)["t0", 0] == texts(found)["t1", 0]
    assert found["t0", 0].num_tokens == 8


# ---------------------------------------------------------------------------------------------------------------------
# Rows and seeds
# ---------------------------------------------------------------------------------------------------------------------


def test_samples_of_one_prompt_differ_by_their_seeds_alone() -> None:
    model, sampling = small_model(spread=0.3), SAMPLINGS["T1"]
    found, _ = decode(model, ["def"], sampling, k=4, batch_size=8, samples=20)
    again, _ = decode(model, ["def"], sampling, k=4, batch_size=3, samples=20)
    assert texts(found) == texts(again)
    assert len({one.text for one in found.values()}) == 20


def test_a_sample_does_not_depend_on_which_others_are_asked_for() -> None:
    model, sampling = small_model(spread=0.3), SAMPLINGS["T1"]
    everything, _ = decode(model, PROMPTS, sampling, k=4, batch_size=4, samples=3)
    alone, _ = decode(model, PROMPTS[:1], sampling, k=4, batch_size=4)
    assert texts(alone)["t0", 0] == texts(everything)["t0", 0]


def test_a_prompt_is_run_once_for_all_its_samples() -> None:
    _, stats = decode(small_model(), ["0123456789"], SAMPLINGS["T1"], k=2, samples=9)
    assert stats.prompt_tokens == 10  # with the token that starts a text, without the last


def test_a_long_text_does_not_hold_up_the_short_ones(fluent: MTPTransformer) -> None:
    """Rows are filled as they fall free: few steps have to do, not one long text per batch."""
    prompts = [TEXTS[0][:8] if place % 4 == 0 else TEXTS[2][:-3] for place in range(32)]
    found, stats = decode(fluent, prompts, GREEDY, k=1, batch_size=4)
    longest = max(one.num_tokens or 0 for one in found.values())
    assert sum(one.num_tokens or 0 for one in found.values()) == stats.passes
    assert stats.steps[1] < stats.passes / 4 + longest


# ---------------------------------------------------------------------------------------------------------------------
# The distribution
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampling",
    [
        pytest.param(Sampling(temperature=1.0, max_new_tokens=3), marks=pytest.mark.slow),
        Sampling(temperature=0.7, top_p=0.9, max_new_tokens=3),
        pytest.param(Sampling(temperature=1.3, top_k=4, max_new_tokens=3), marks=pytest.mark.slow),
    ],
    ids=["T1", "T0.7 top-p", "T1.3 top-k"],
)
def test_100000_draws_of_three_tokens_have_the_exact_distribution(sampling: Sampling) -> None:
    from scipy.stats import chi2

    model = small_model(n=3, vocab_size=7, spread=0.15, seed=3, max_positions=8)
    draws = 100_000
    found, stats = decode(model, ["ab"], sampling, k=3, batch_size=2000, samples=draws, tokenizer=Digits("abcdef"))
    counts: dict[tuple[str, str], int] = {}
    for one in found.values():
        counts[one.text, one.finish_reason] = counts.get((one.text, one.finish_reason), 0) + 1
    assert stats.passes < stats.tokens
    probabilities = exactly(model, [0, 1], sampling)
    assert sum(probabilities.values()) == pytest.approx(1)
    assert set(counts) <= set(probabilities)
    # Cells that few draws are expected in are put together, as the test's approximation asks for.
    cells = sorted(probabilities, key=lambda cell: -probabilities[cell])
    big = [cell for cell in cells if probabilities[cell] * draws >= 10]
    rest = max(0.0, 1 - sum(probabilities[cell] for cell in big))
    statistic = sum(
        (counts.get(cell, 0) - draws * probabilities[cell]) ** 2 / (draws * probabilities[cell]) for cell in big
    )
    if rest * draws >= 1:
        seen = draws - sum(counts.get(cell, 0) for cell in big)
        statistic += (seen - draws * rest) ** 2 / (draws * rest)
    assert chi2.sf(statistic, len(big)) > 1e-3
    assert len(big) > 5


def exactly(model: MTPTransformer, text: list[int], sampling: Sampling) -> dict[tuple[str, str], float]:
    """The probability of each text of at most three tokens; token 6 ends one."""
    outcomes: dict[tuple[str, str], float] = {}

    @torch.no_grad()
    def extend(written: list[int], probability: float) -> None:
        if written and written[-1] == 6:
            outcomes["".join("abcdef"[token] for token in written[:-1]), "stop"] = probability
            return
        if len(written) == 3:
            outcomes["".join("abcdef"[token] for token in written), "length"] = probability
            return
        logits = model(torch.tensor([text + written]))[0, -1, 0] / sampling.temperature
        if sampling.top_k:
            logits[logits < logits.sort(descending=True).values[sampling.top_k - 1]] = -torch.inf
        probabilities = logits.softmax(-1)
        order = probabilities.argsort(descending=True)
        before = probabilities[order].cumsum(0) - probabilities[order]
        for token in order[before < sampling.top_p].tolist():
            share = probabilities[token] / probabilities[order[before < sampling.top_p]].sum()
            if share > 0:
                extend([*written, token], probability * float(share))

    extend([], 1.0)
    return outcomes
