"""`gate`: may this checkpoint replace the pinned baseline? One exit code: 0 PASS, 1 FAIL, 3 INVALID, 4 INCONCLUSIVE.

The baseline is pinned: no gate ever moves it. A candidate that is a run is judged by what it holds; a model is asked
for samples look by look, under the baseline's own protocol, and for no more than the verdict takes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config import UsageError
from harness.gate_preflight import preflight
from harness.gate_record import JUNIT, Confirming, GateRecord, GateSide, Preflight, open_question, plain, write_record
from harness.gate_run import MeasuredRun
from harness.gate_setup import Bench, GateOptions, prepare
from harness.records import write_atomic
from harness.stats.counts import Missing
from harness.stats.gate import (
    BASELINE_FACTOR,
    Confirmation,
    Decision,
    GatePlan,
    GateResult,
    confirm,
    confirmation_size,
    false_fail,
    fault_of,
    gate,
    invalid,
    run_gate,
)
from harness.stats.protocol import NotComparable

if TYPE_CHECKING:
    from harness.stats.counts import Counts


def decide(options: GateOptions) -> int:
    """Prints what to expect, gates, prints and records the answer; the exit code.

    Raises:
        UsageError: it cannot be asked so; or the two are not comparable, and the message says in which fields.
        models.backend.ModelUnavailable, tasks.data.DatasetUnavailable, sandbox.program.SandboxUnavailable: the
            candidate cannot be measured here.
    """
    from harness.report.gate_text import render_gate, render_preflight

    try:
        bench = prepare(options)
        record = _opened(bench)
        print(render_preflight(record), file=sys.stderr if options.as_json else sys.stdout, flush=True)
        record = _gated(bench, record)
    except NotComparable as error:
        raise UsageError(str(error)) from error
    _write(bench.out, record)
    print(json.dumps(record.to_json(), indent=2) if options.as_json else render_gate(record))
    assert record.result is not None
    return record.result.decision.exit_code


# ---------------------------------------------------------------------------------------------------------------------
# The question
# ---------------------------------------------------------------------------------------------------------------------


def _opened(bench: Bench) -> GateRecord:
    """The record with the question and what to expect; it is on the disk before any sample is drawn."""
    question = _question(bench)
    open_question(bench.out, question)
    fault = fault_of("baseline", bench.pinned, bench.plan)
    record = GateRecord(
        task=bench.baseline.config.task,
        question=question,
        plan=bench.plan,
        baseline=GateSide.of(bench.baseline),
        preflight=None if fault else _preflight(bench),
        notes=bench.notes,
    )
    if bench.candidate.run is None:
        write_record(bench.out, record)
    return record


def _question(bench: Bench) -> Mapping[str, Any]:
    """All that the answer depends on."""
    options, baseline = bench.options, bench.baseline
    question = {
        "plan": asdict(bench.plan),
        "baseline": {"samples": baseline.samples_digest, "protocol": baseline.record["protocol"].get("hash")},
        "candidate": bench.candidate.identity(looks=bool(bench.plan.looks)),
        "confirmation": str(options.confirm_run) if options.confirm_run else None,
        "missing": options.missing,
        "allow_subset": options.allow_subset,
        "may_differ": sorted(options.may_differ),
    }
    return {name: plain(value) for name, value in question.items()}


def _preflight(bench: Bench) -> Preflight:
    run = bench.candidate.run
    num_samples = bench.plan.looks[-1] if bench.plan.looks or run is None else run.fewest
    return preflight(bench.pinned.settled(Missing.EXCLUDE), bench.plan, num_samples, _how(bench.plan, run))


def _how(plan: GatePlan, run: MeasuredRun | None) -> str:
    """Which samples are looked at, and why so."""
    looks = " and ".join(filter(None, [", ".join(map(str, plan.looks[:-1])), *map(str, plan.looks[-1:])]))
    if run is None:
        return f"looks at {looks} samples of each problem, drawn as they are needed; the first decision stands"
    if plan.looks:
        return (
            f"looks at the first {looks} samples of each problem, as if they came one after another; the bounds are "
            f"those of all planned looks, and the first decision stands"
        )
    return (
        f"one look at all {run.fewest} samples of each problem: they are there, so that earlier looks would save "
        f"nothing and cost power"
    )


# ---------------------------------------------------------------------------------------------------------------------
# The answer
# ---------------------------------------------------------------------------------------------------------------------


def _gated(bench: Bench, record: GateRecord) -> GateRecord:
    plan, pinned = bench.plan, bench.pinned
    if fault := fault_of("baseline", pinned, plan):
        result = invalid(fault, pinned, pinned, plan)
        result = replace(result, n_candidate=0, unjudged=pinned.num_unjudged, missing=pinned.num_missing)
        return replace(record, result=result, notes=(*record.notes, *_advice(bench, result)))
    looks: list[GateResult] = []
    result = _looked(bench, pinned, looks)
    confirming = None
    if result.confirmation is Confirmation.NEEDED:
        result, confirming = _confirmed(bench, pinned, result)
    chance = false_fail(
        pinned.settled(Missing.EXCLUDE),
        plan,
        num_samples=max(plan.k, result.n_candidate),
        fresh_baseline=confirming is not None and confirming.fresh_baseline,
    )
    run = bench.candidate.run
    assert run is not None
    return replace(
        record,
        candidate=GateSide.of(run),
        looks=tuple(looks),
        confirming=confirming,
        result=replace(result, false_fail=chance),
        notes=(*record.notes, *_advice(bench, result)),
    )


def _looked(bench: Bench, pinned: Counts, looks: list[GateResult]) -> GateResult:
    """The result of the last look that was taken, before any confirmation; all of them are added to `looks`."""
    run = bench.candidate.run
    if not bench.plan.looks:
        assert run is not None
        looks.append(gate(bench.counts(run), pinned, bench.plan))
        return looks[0]

    def draw(n: int) -> Counts | None:
        found = bench.candidate.drawn(n)
        return None if found is None else bench.counts(found, n)

    return run_gate(draw, pinned, bench.plan, seen=looks.append)


def _confirmed(bench: Bench, pinned: Counts, first: GateResult) -> tuple[GateResult, Confirming | None]:
    """What fresh samples say of a FAIL; the first result where there are none to be had."""
    n = confirmation_size(bench.plan, first.n_candidate)
    fresh = bench.candidate.confirmation(n, min(bench.baseline.fewest, BASELINE_FACTOR * n))
    if fresh is None:
        return first, None
    run, theirs = fresh
    ours, compared = bench.paired(run.counts(), (theirs or bench.baseline).counts())
    result = confirm(first, ours, compared, fresh_baseline=theirs is not None)
    return result, Confirming(
        candidate=GateSide.of(run),
        baseline=GateSide.of(theirs or bench.baseline),
        fresh_baseline=theirs is not None,
        difference=result.difference,
        lower=result.lower,
        upper=result.upper,
    )


def _advice(bench: Bench, result: GateResult) -> Sequence[str]:
    """What to type next, and what to beware of."""
    run = bench.candidate.run
    unseen = run is not None and run.config.asks_a_model and not run.config.model_digest
    return [
        *_next_steps(bench, result),
        *(["no weights are to be seen behind this address: where others answer by now, type another --out"] * unseen),
    ]


def _next_steps(bench: Bench, result: GateResult) -> Sequence[str]:
    if result.decision is Decision.INVALID:
        return ["type the commands of the runs again to finish them, and then this one"]
    if result.confirmation is Confirmation.NEEDED:
        return [
            f"to confirm, draw {confirmation_size(bench.plan, result.n_candidate)} fresh samples of each problem with "
            f"another --seed and add --confirm RUN; --no-confirm takes the first samples' word"
        ]
    if result.next_n is not None:
        return [f"the next look takes {result.next_n} samples of each problem; draw them and type this again"]
    return []


def _write(out: Path, record: GateRecord) -> None:
    from harness.report.gate_junit import render_gate_junit

    write_record(out, record)
    write_atomic(out / JUNIT, render_gate_junit(record))
