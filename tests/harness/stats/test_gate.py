"""The gate's errors, simulated: unchanged checkpoints, true losses, many checks in a row, and rules that must fail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from harness.stats import Counts, Decision, GatePlan, GateResult, Target, confirm, gate, gate_chances, run_gate
from harness.stats.gate import LOOKS, AlphaSchedule, Confirmation, alpha_of_check, confirmation_size, false_fail
from harness.stats.intervals import t_quantile
from harness.stats.sequential import Spending

M = 164
REPS = 4000


def codex_like(rng: np.random.Generator, m: int = M) -> np.ndarray:
    return rng.beta(0.194, 0.538, m)


def worse(rates: np.ndarray, loss: float) -> np.ndarray:
    """Every problem is solved less often, in the same proportion of the odds, so that the mean falls by `loss`."""
    low, high = 0.0, 20.0
    for _ in range(50):
        shift = (low + high) / 2
        low, high = (shift, high) if (rates - _shifted(rates, shift)).mean() < loss else (low, shift)
    return _shifted(rates, (low + high) / 2)


def _shifted(rates: np.ndarray, shift: float) -> np.ndarray:
    return rates / (rates + (1 - rates) * np.exp(shift))


def drawn(rng: np.random.Generator, rates: np.ndarray, n: int) -> Counts:
    return Counts.of(np.full(rates.size, n), rng.binomial(n, rates))


def growing(rng: np.random.Generator, rates: np.ndarray) -> Callable[[int], Counts]:
    """Completions that are drawn one after another: at each look the earlier ones are still there."""
    passed = rng.random((LOOKS[-1], rates.size)) < rates
    return lambda n: Counts.of(np.full(rates.size, n), passed[:n].sum(axis=0))


def simulate(plan: GatePlan, *, loss: float = 0.0, n: int | None = None, reps: int = REPS) -> dict[str, float]:
    """Shares of the decisions, and the mean of the completions per problem; the baseline has four times as many."""
    rng = np.random.default_rng(31)
    seen: dict[str, float] = {decision.value: 0.0 for decision in Decision} | {"n": 0.0}
    for _ in range(reps):
        rates = codex_like(rng)
        candidate = worse(rates, loss) if loss else rates
        most = plan.looks[-1] if plan.looks else n or 1
        baseline = drawn(rng, rates, 4 * most)
        result = (
            run_gate(growing(rng, candidate), baseline, plan)
            if plan.looks
            else gate(drawn(rng, candidate, most), baseline, plan)
        )
        seen[result.decision.value] += 1 / reps
        seen["n"] += result.n_candidate / reps
    return seen


def plan(**fields: object) -> GatePlan:
    return GatePlan(confirm_on_fail=False, **fields)  # type: ignore[arg-type]  # the fields of GatePlan


@pytest.mark.slow
@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("spending", Spending)
def test_unchanged_checkpoint_fails_no_more_often_than_alpha_over_all_looks(target: Target, spending: Spending) -> None:
    seen = simulate(plan(looks=LOOKS, target=target, spending=spending))
    assert seen["FAIL"] <= 0.065
    assert seen["PASS"] > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("spending", Spending)
def test_checkpoint_that_lost_the_margin_passes_no_more_often_than_alpha(spending: Spending) -> None:
    seen = simulate(plan(looks=LOOKS, spending=spending), loss=0.02)
    assert seen["PASS"] <= 0.065
    assert seen["FAIL"] > 0.6


@pytest.mark.slow
def test_looks_that_are_not_paid_for_raise_the_error() -> None:
    """Each look at the full alpha: what the boundaries are there to prevent."""
    rng = np.random.default_rng(32)
    failed = 0
    for _ in range(REPS):
        rates = codex_like(rng)
        baseline, draw = drawn(rng, rates, 4 * LOOKS[-1]), growing(rng, rates)
        single = [gate(draw(n), baseline, plan()) for n in LOOKS]
        stopped = next((one for one in single if one.decision is not Decision.INCONCLUSIVE), None)
        failed += stopped is not None and stopped.decision is Decision.FAIL
    assert failed / REPS > 0.09


@pytest.mark.slow
@pytest.mark.parametrize(("n", "loss", "least"), [(5, 0.05, 0.95), (20, 0.05, 0.99)])
def test_true_loss_of_5_points_fails(n: int, loss: float, least: float) -> None:
    assert simulate(plan(), loss=loss, n=n)["FAIL"] >= least


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 5, 20])
def test_single_look_errs_no_more_than_alpha(n: int) -> None:
    assert simulate(plan(), n=n)["FAIL"] <= 0.065
    assert simulate(plan(), n=n, loss=0.02)["PASS"] <= 0.065


@pytest.mark.slow
@pytest.mark.parametrize("target", Target)
def test_unchanged_checkpoint_hardly_ever_fails_where_a_failure_is_confirmed(target: Target) -> None:
    rng = np.random.default_rng(38)
    failed = 0
    for _ in range(REPS):
        rates = codex_like(rng)

        def fresh(n: int, rates: np.ndarray = rates) -> tuple[Counts, Counts]:
            return drawn(rng, rates, n), drawn(rng, rates, 4 * n)

        baseline = drawn(rng, rates, 4 * LOOKS[-1])
        result = run_gate(growing(rng, rates), baseline, GatePlan(looks=LOOKS, target=target), fresh)
        failed += result.decision is Decision.FAIL
    assert failed / REPS <= 0.01


@pytest.mark.slow
def test_clear_loss_stops_early() -> None:
    seen = simulate(plan(looks=LOOKS), loss=0.05, reps=1000)
    assert seen["FAIL"] > 0.99
    assert seen["n"] < 7


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 20])
def test_chances_that_are_told_beforehand_are_those_that_come_out(n: int) -> None:
    rng = np.random.default_rng(33)
    told = gate_chances(drawn(rng, codex_like(rng), 400), plan(), num_samples=n, num_baseline_samples=4 * n)
    seen = simulate(plan(), n=n, reps=2000)
    assert told.passed == pytest.approx(seen["PASS"], abs=0.06)  # the one baseline's problems are not the mean of all
    assert told.failed == pytest.approx(seen["FAIL"], abs=0.02)


def test_chances_of_a_gate_that_can_hardly_pass_are_told() -> None:
    rng = np.random.default_rng(34)
    told = gate_chances(drawn(rng, codex_like(rng), 400), plan(), num_samples=1, num_baseline_samples=1)
    assert 0.1 < told.passed < 0.22


# ---------------------------------------------------------------------------------------------------------------------
# Many checks against one baseline
# ---------------------------------------------------------------------------------------------------------------------

CHECKS = 50


def confirmed(rng: np.random.Generator, rates: np.ndarray, baseline: Counts, n: int) -> GateResult:
    first = gate(drawn(rng, rates, n), baseline)
    if first.confirmation is not Confirmation.NEEDED:
        return first
    return confirm(first, drawn(rng, rates, n), drawn(rng, rates, 4 * n))


@pytest.mark.slow
def test_fifty_unchanged_checkpoints_in_a_row_hardly_ever_fail() -> None:
    rng = np.random.default_rng(35)
    runs, failed = 60, 0
    for _ in range(runs):
        rates = codex_like(rng)
        baseline = drawn(rng, rates, 40)
        results = [confirmed(rng, rates, baseline, 10) for _ in range(CHECKS)]
        failed += sum(result.decision is Decision.FAIL for result in results)
    assert failed / (runs * CHECKS) <= 0.01


@pytest.mark.slow
def test_best_so_far_as_a_baseline_would_fail_every_third_unchanged_checkpoint() -> None:
    """Why there is no such mode: the best of many equal checkpoints is the luckiest."""
    rng = np.random.default_rng(36)
    runs, failed = 40, 0
    for _ in range(runs):
        rates = codex_like(rng)
        best = drawn(rng, rates, 10)
        for _ in range(CHECKS):
            candidate = drawn(rng, rates, 10)
            failed += gate(candidate, best, plan(target=Target.BENCHMARK)).upper < 0
            best = max(best, candidate, key=lambda counts: int(counts.c.sum()))
    assert failed / (runs * CHECKS) > 0.25


@pytest.mark.slow
def test_confirmation_still_finds_a_true_loss() -> None:
    rng = np.random.default_rng(37)
    failed = 0
    for _ in range(300):
        rates = codex_like(rng)
        bad = worse(rates, 0.05)
        first = gate(drawn(rng, bad, 10), drawn(rng, rates, 40))
        if first.confirmation is Confirmation.NEEDED:
            failed += confirm(first, drawn(rng, bad, 10), drawn(rng, rates, 40)).decision is Decision.FAIL
    assert failed / 300 > 0.95


@pytest.mark.slow
def test_confirmation_against_the_pinned_baseline_errs_as_often_as_told() -> None:
    """The pinned baseline's luck is in both looks: more than the square of alpha, less than alpha by far."""
    rng = np.random.default_rng(38)
    n, failed, reps = 10, 0, 6000
    for _ in range(reps):
        rates = codex_like(rng)
        baseline = drawn(rng, rates, n)  # as few as the candidate's, so that much is shared
        first = gate(drawn(rng, rates, n), baseline)
        if first.confirmation is Confirmation.NEEDED:
            failed += confirm(first, drawn(rng, rates, n), baseline, fresh_baseline=False).decision is Decision.FAIL
    told = false_fail(drawn(rng, codex_like(rng), 200), num_samples=n, fresh_baseline=False)
    alike = false_fail(drawn(rng, codex_like(rng), n), num_samples=n, fresh_baseline=False)
    assert told < alike == pytest.approx(0.0122, abs=0.0005)
    assert failed / reps == pytest.approx(alike, abs=0.004)


@pytest.mark.slow
def test_planned_looks_with_confirmation_hardly_ever_fail_an_unchanged_checkpoint_and_find_a_true_loss() -> None:
    rng = np.random.default_rng(39)
    found = {0.0: 0, 0.04: 0}
    reps = {0.0: 1500, 0.04: 300}
    for loss in found:
        for _ in range(reps[loss]):
            rates = codex_like(rng)
            candidate = worse(rates, loss) if loss else rates
            baseline = drawn(rng, rates, 64)

            def fresh(n: int, candidate: np.ndarray = candidate, rates: np.ndarray = rates) -> tuple[Counts, Counts]:
                return drawn(rng, candidate, n), drawn(rng, rates, 4 * n)

            result = run_gate(growing(rng, candidate), baseline, GatePlan(looks=LOOKS), fresh)
            found[loss] += result.decision is Decision.FAIL
    assert found[0.0] / reps[0.0] <= 0.01
    assert found[0.04] / reps[0.04] >= 0.95


def test_all_checks_together_spend_alpha_where_that_is_asked() -> None:
    total = sum(alpha_of_check(0.05, check, AlphaSchedule.SPEND) for check in range(1, 20_001))
    assert total == pytest.approx(0.05, rel=1e-4)
    assert alpha_of_check(0.05, 7) == 0.05


# ---------------------------------------------------------------------------------------------------------------------
# Decisions
# ---------------------------------------------------------------------------------------------------------------------

SOLVED = np.arange(M) % 3 == 0


def counts(n: int, share: float = 1.0, **fields: object) -> Counts:
    """A third of the problems is solved by this share of the completions, the rest by none."""
    return Counts.of(np.full(M, n), np.where(SOLVED, round(n * share), 0), **fields)  # type: ignore[arg-type]


def test_equal_counts_pass() -> None:
    result = gate(counts(20, 0.5), counts(80, 0.5))
    assert result.decision is Decision.PASS
    assert result.difference == pytest.approx(0, abs=1e-12)
    assert result.lower > -0.02


def test_plain_loss_fails_and_says_why() -> None:
    result = gate(counts(20, 0.5), counts(80, 1.0), plan())
    assert result.decision is Decision.FAIL
    assert result.reason == "the candidate is shown to score lower, and not shown to lose less than 2 points"


def test_small_but_certain_loss_passes_with_a_word_about_it() -> None:
    result = gate(counts(100, 0.97), counts(400, 1.0), plan(margin=0.05))
    assert result.decision is Decision.PASS
    assert "though it is shown to score lower" in result.reason


def test_too_few_completions_are_inconclusive_and_say_how_many_more_are_needed() -> None:
    rng = np.random.default_rng(40)
    rates = codex_like(rng)
    result = gate(drawn(rng, rates, 2), drawn(rng, rates, 64), plan(looks=LOOKS))
    assert result.decision is Decision.INCONCLUSIVE
    assert (result.look, result.num_looks, result.next_n, result.completions_needed) == (1, 4, 4, 2 * M)


def test_failure_waits_for_fresh_completions() -> None:
    first = gate(counts(20, 0.5), counts(80, 1.0))
    assert (first.decision, first.confirmation) == (Decision.INCONCLUSIVE, Confirmation.NEEDED)
    again = confirm(first, counts(20, 0.5), counts(80, 1.0))
    assert (again.decision, again.confirmation) == (Decision.FAIL, Confirmation.CONFIRMED)
    other = confirm(first, counts(20, 1.0), counts(80, 1.0))
    assert (other.decision, other.confirmation) == (Decision.PASS, Confirmation.NOT_CONFIRMED)


def test_nothing_but_a_failure_may_be_drawn_again() -> None:
    with pytest.raises(ValueError, match="needs no confirmation"):
        confirm(gate(counts(20), counts(80)), counts(20), counts(80))


def test_run_of_looks_stops_at_the_first_decision_and_confirms_it() -> None:
    asked = []

    def draw(n: int) -> Counts:
        asked.append(n)
        return counts(n, 0.5)

    result = run_gate(draw, counts(64, 1.0), GatePlan(looks=LOOKS), lambda n: (counts(n, 0.5), counts(4 * n, 1.0)))
    assert (result.decision, result.confirmation, asked) == (Decision.FAIL, Confirmation.CONFIRMED, [2])


def test_looks_wait_where_there_are_not_enough_completions_yet() -> None:
    rng = np.random.default_rng(43)
    rates = codex_like(rng)
    draw, told = growing(rng, rates), []
    result = run_gate(
        lambda n: draw(n) if n <= 4 else None, drawn(rng, rates, 64), GatePlan(looks=LOOKS), seen=told.append
    )
    assert (result.look, result.next_n, result.completions_needed) == (2, 8, 4 * M)
    assert [one.look for one in told] == [1, 2]


def test_looks_that_cannot_begin_say_what_they_take() -> None:
    with pytest.raises(ValueError, match="the first look takes 2 completions of each problem"):
        run_gate(lambda n: None, counts(64), GatePlan(looks=LOOKS))


@pytest.mark.parametrize(("looks", "n", "size"), [((), 20, 20), (LOOKS, 2, 4), (LOOKS, 8, 16), (LOOKS, 16, 16)])
def test_failure_is_confirmed_by_twice_the_completions_up_to_those_of_the_last_look(
    looks: tuple[int, ...], n: int, size: int
) -> None:
    assert confirmation_size(GatePlan(looks=looks), n) == size


def test_chance_of_a_false_failure_grows_with_what_both_looks_share() -> None:
    chances = [false_fail(counts(n, 0.5), num_samples=10, fresh_baseline=False) for n in (1000, 40, 10)]
    assert 0.05**2 < chances[0] < chances[1] < chances[2] < 0.05
    assert false_fail(counts(40, 0.5)) == 0.05**2
    assert false_fail(counts(40, 0.5), plan()) == 0.05


def test_chance_that_two_decisions_err_is_that_of_two_correlated_normal_numbers() -> None:
    law = stats.multivariate_normal(cov=[[1, 0.5], [0.5, 1]])
    shared = false_fail(counts(10, 0.5), num_samples=10, fresh_baseline=False)  # v / (v + w) = 1/2
    assert shared == pytest.approx(law.cdf(stats.norm.ppf([0.05, 0.05])), abs=1e-6)


@pytest.mark.parametrize(
    ("decision", "code"),
    [(Decision.PASS, 0), (Decision.FAIL, 1), (Decision.INVALID, 3), (Decision.INCONCLUSIVE, 4)],
)
def test_each_decision_has_its_exit_code(decision: Decision, code: int) -> None:
    assert decision.exit_code == code


def test_too_many_completions_without_a_verdict_are_no_measurement() -> None:
    passed = {f"T/{i}": [True, None if i < 10 else False] for i in range(M)}
    result = gate(Counts.from_outcomes(passed), Counts.from_outcomes(dict.fromkeys(passed, [True, False] * 4)))
    assert result.decision is Decision.INVALID
    assert "10 of 328 completions of the candidate have no verdict, more than 1 %" in result.reason
    assert result.unjudged == 10


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (counts(20, protocol={"timeout_s": 3}), "timeout_s: 3 and 10"),
        (counts(20, task_id=[f"other/{i}" for i in range(M)], protocol={"timeout_s": 10}), "problems of one only"),
    ],
)
def test_unlike_measurements_are_invalid_and_say_where_they_differ(candidate: Counts, message: str) -> None:
    result = gate(candidate, counts(80, protocol={"timeout_s": 10}))
    assert result.decision is Decision.INVALID
    assert message in result.reason


def test_single_completions_do_not_show_their_own_noise() -> None:
    result = gate(counts(1), counts(4), plan(target=Target.BENCHMARK))
    assert result.decision is Decision.INVALID
    assert "draw 2 or more" in result.reason


def test_unplanned_look_is_refused() -> None:
    with pytest.raises(ValueError, match="this gate looks at 2, 4, 8, 16"):
        gate(counts(5), counts(64), GatePlan(looks=LOOKS))


def test_small_baseline_is_remarked_on() -> None:
    assert "fewer than 4 times the candidate's 20" in gate(counts(20), counts(40)).notes[0]
    assert not gate(counts(20), counts(80)).notes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"margin": 0.0}, "margin must lie between 0 and 1"),
        ({"margin": 2.0}, "margin must lie between 0 and 1"),
        ({"alpha": 0.5}, "alpha must lie between 0 and 0.5"),
        ({"looks": (4, 2)}, "looks must rise"),
        ({"k": 10, "looks": (2, 20)}, "10 or more completions at the first look"),
        ({"looks": (1, 2), "target": Target.BENCHMARK}, "start the looks at 2"),
    ],
)
def test_refuses_plans_that_cannot_work(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**fields)


def test_bounds_of_one_look_are_the_one_sided_t_quantile() -> None:
    rng = np.random.default_rng(41)
    rates = codex_like(rng)
    result = gate(drawn(rng, rates, 20), drawn(rng, rates, 80), plan())
    half = t_quantile(M - 1, 0.9) * result.se
    assert (result.lower, result.upper) == pytest.approx((result.difference - half, result.difference + half))


def test_gate_at_k_above_1_takes_its_information_from_the_baseline() -> None:
    rng = np.random.default_rng(42)
    rates = codex_like(rng)
    result = gate(drawn(rng, rates, 20), drawn(rng, rates, 160), plan(k=10, looks=(20, 40)))
    assert (result.look, result.num_looks) == (1, 2)
    assert 0 < result.alpha_spent < 0.05
