"""The number of drafts that is used is the fastest one, and finding it costs little."""

from __future__ import annotations

import random

import pytest

from models.draft_length import FastestLength

ROWS = 32


def decoded(
    costs: list[float], acceptance: list[float], *, tokens: int, noise: float = 0.05, seed: int = 0
) -> tuple[float, list[int], FastestLength]:
    """Seconds that an ideal machine takes for `tokens` tokens per row, and the k of every step.

    Args:
        costs: seconds of a step over 1, 2, ... tokens.
        acceptance: of draft 1, 2, ... where those before it were accepted.
        tokens: of each of 32 rows.
        noise: of the times.
        seed: of times and acceptance.
    """
    chance = random.Random(seed)
    length, seconds, written, used = FastestLength(len(costs)), 0.0, 0.0, []
    while written < tokens * ROWS:
        k = length.choose(ROWS)
        took = costs[k - 1] * (1 + noise * abs(chance.gauss(0, 1)))
        accepted = [sum(1 for _ in _run(acceptance[: k - 1], chance)) for _ in range(ROWS)]
        length.observe(k, ROWS, took, accepted)
        seconds += took
        written += ROWS + sum(accepted)
        used.append(k)
    return seconds, used, length


def _run(acceptance: list[float], chance: random.Random):  # type: ignore[no-untyped-def]
    for share in acceptance:
        if chance.random() >= share:
            return
        yield share


WORKLOADS = {
    "nothing is accepted, drafts are dear": ([1.0, 2.0, 2.5, 3.0], [0.0, 0.0, 0.0]),
    "little is accepted": ([1.0, 1.8, 2.2, 2.6], [0.3, 0.3, 0.3]),
    "all is accepted, drafts are cheap": ([1.0, 1.05, 1.1, 1.15], [0.95, 0.9, 0.86]),
    "one draft is best": ([1.0, 1.1, 2.5, 3.0], [0.9, 0.5, 0.5]),
    "all is accepted, drafts are dear": ([1.0, 2.2, 3.4, 4.6], [0.95, 0.95, 0.95]),
}


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_the_fastest_length_is_found_and_kept(workload: tuple[list[float], list[float]]) -> None:
    costs, acceptance = workload
    rates = []
    for k in range(1, len(costs) + 1):
        expected, product = 1.0, 1.0
        for share in acceptance[: k - 1]:
            product *= share
            expected += product
        rates.append(expected / costs[k - 1])
    best = 1 + rates.index(max(rates))
    _, used, _ = decoded(costs, acceptance, tokens=2000)
    assert used[len(used) // 2 :].count(best) > 0.95 * len(used) / 2


@pytest.mark.parametrize("tokens", [600, 5000])
@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_decoding_is_never_three_percent_slower_than_plain(
    workload: tuple[list[float], list[float]], tokens: int
) -> None:
    costs, acceptance = workload
    for seed in range(5):
        seconds, _, _ = decoded(costs, acceptance, tokens=tokens, seed=seed, noise=0.0)
        assert seconds < 1.03 * tokens * costs[0]


def test_a_workload_that_becomes_better_is_noticed() -> None:
    length, chance = FastestLength(4), random.Random(3)
    used = []
    for step in range(4000):
        k = length.choose(ROWS)
        used.append(k)
        good = step > 1000
        accepted = [sum(1 for _ in _run([0.9 if good else 0.0] * (k - 1), chance)) for _ in range(ROWS)]
        length.observe(k, ROWS, 1 + 0.1 * (k - 1), accepted)
    assert used[500:1000].count(1) > 480
    assert used[3000:].count(4) > 950


def test_what_the_first_step_of_another_shape_finds_cold_decides_nothing() -> None:
    """Plain steps are fastest here, but each change of k costs the next step ten times its time."""
    length, used, last = FastestLength(4), [], 0
    for _ in range(2000):
        k = length.choose(ROWS)
        length.observe(k, ROWS, (1 + 0.5 * (k - 1)) * (10 if k != last else 1), [0] * ROWS)
        used.append(k)
        last = k
    assert used[20:].count(1) > 0.99 * len(used[20:])


def test_a_machine_that_changes_its_pace_is_noticed() -> None:
    """Steps over four tokens are dear at first and cheap later, with everything accepted all the time."""
    length, used = FastestLength(4), []
    for step in range(8000):
        k = length.choose(ROWS)
        used.append(k)
        length.observe(k, ROWS, 1 + (1.5 if step < 2000 else 0.1) * (k - 1), [k - 1] * ROWS)
    assert used[500:2000].count(1) > 1450
    assert used[7000:].count(4) > 950


def test_other_numbers_of_rows_have_their_own_times() -> None:
    """What is dear for a full batch can be cheap for a single text."""
    length, chance = FastestLength(4), random.Random(3)
    used: dict[int, list[int]] = {1: [], 32: []}
    for step in range(3000):
        rows = 1 if step % 2 else 32
        k = length.choose(rows)
        used[rows].append(k)
        accepted = [sum(1 for _ in _run([0.7] * (k - 1), chance)) for _ in range(rows)]
        length.observe(k, rows, 1 + (1.2 if rows == 32 else 0.05) * (k - 1), accepted)
    assert used[1][-300:].count(4) > 280
    assert used[32][-300:].count(1) > 280
