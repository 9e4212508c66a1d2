"""What a gate is asked, and both sides made ready to be compared; all that can be wrong with them is found here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import pipeline
from harness.config import UsageError
from harness.gate_candidate import (
    AskedCandidate,
    Candidate,
    RecordedCandidate,
    asked_config,
    file_config,
    usual_out,
)
from harness.gate_record import CANDIDATE, FRESH, FRESH_BASELINE, JUNIT, NAME
from harness.gate_run import MeasuredRun, is_run, protocol_here, read_measured
from harness.rundir import throw_away
from harness.stats.comparison import align
from harness.stats.counts import Missing
from harness.stats.gate import ALPHA, MARGIN, MAX_UNJUDGED, GatePlan
from harness.stats.intervals import Target
from harness.stats.protocol import NotComparable, protocol_differences
from harness.stats.sequential import Spending

if TYPE_CHECKING:
    from harness.stats.counts import Counts


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOptions:
    """What was typed."""

    baseline: Path
    candidate: str
    """A run directory, or else the name of a model."""
    k: int = 1
    margin: float = MARGIN
    alpha: float = ALPHA
    target: Target = Target.PROBLEMS
    looks: tuple[int, ...] = ()
    """Empty for what suits the candidate: all of a run at once, a model look by look."""
    spending: Spending = Spending.POCOCK
    confirm: bool = True
    confirm_run: Path | None = None
    """Fresh samples of a candidate that is a run."""
    missing: Missing = Missing.ERROR
    allow_subset: bool = False
    may_differ: tuple[str, ...] = ()
    """Fields of the protocols that are no reason to refuse."""
    seed: int | None = None
    """Of a model's samples; None for the one after the baseline's."""
    out: Path | None = None
    """Where the decision is recorded; None for the candidate's directory, or one named after the model."""
    fresh: bool = False
    as_json: bool = False
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Choices named in `harness.gate_candidate.MACHINE`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Both sides, made ready to be compared."""

    options: GateOptions
    baseline: MeasuredRun
    candidate: Candidate
    plan: GatePlan
    out: Path
    notes: tuple[str, ...] = ()

    def paired(self, candidate: Counts, baseline: Counts) -> tuple[Counts, Counts]:
        """The same problems of both, found comparable, with what lacks a verdict settled as was asked.

        Raises:
            NotComparable: the protocols or the problems differ.
        """
        ours, theirs = align(
            candidate, baseline, allow_subset=self.options.allow_subset, may_differ=self.options.may_differ
        )
        ours, theirs = replace(ours, protocol={}), replace(theirs, protocol={})
        if self.options.missing is Missing.FAIL:
            return ours.settled(Missing.FAIL), theirs.settled(Missing.FAIL)
        return ours, theirs

    def counts(self, run: MeasuredRun, n: int | None = None) -> Counts:
        """Of the candidate's first n samples."""
        return self.paired(run.counts(n), self.baseline.counts())[0]

    @property
    def pinned(self) -> Counts:
        """Of the baseline, on the problems that the candidate has."""
        everything = self.baseline.counts()
        run = self.candidate.run
        return self.paired(everything if run is None else run.counts(), everything)[1]


def prepare(options: GateOptions) -> Bench:
    """Both sides and the plan, after a look at everything that can be wrong with them."""
    baseline = read_measured(options.baseline)
    _refuse_drawn_by_a_gate(baseline, "baseline")
    out = _out(options, baseline)
    candidate = _candidate(options, baseline, out)
    _check_comparable(options, candidate.protocol, baseline)
    bench = Bench(options=options, baseline=baseline, candidate=candidate, plan=_plan(options, candidate), out=out)
    _check_sizes(bench)
    if options.fresh:
        _throw_away(out, candidate.run)
    return replace(bench, notes=tuple(_notes(bench)))


def _check_comparable(options: GateOptions, protocol: Mapping[str, Any], baseline: MeasuredRun) -> None:
    allowed = {*options.may_differ, *({"problems", "num_problems", "excluded"} if options.allow_subset else ())}
    if unlike := protocol_differences(protocol, baseline.protocol, allowed):
        raise NotComparable(unlike)


def _out(options: GateOptions, baseline: MeasuredRun) -> Path:
    if options.out is not None:
        return options.out
    return Path(options.candidate) if is_run(options.candidate) else usual_out(baseline.config.task, options.candidate)


def _throw_away(out: Path, judged: MeasuredRun | None) -> None:
    """Removes what an earlier gate left; a samples file has been judged anew by now."""
    for name in (CANDIDATE, FRESH, FRESH_BASELINE):
        if judged is None or judged.path != out / name:
            throw_away(out / name)
    for name in (JUNIT, NAME):
        (out / name).unlink(missing_ok=True)


def _candidate(options: GateOptions, baseline: MeasuredRun, out: Path) -> Candidate:
    model = options.candidate
    if is_run(model):
        run = read_measured(Path(model))
        if run.path.resolve() == baseline.path.resolve():
            raise UsageError(f"candidate and baseline are both {baseline.path}; name two runs")
        if not options.looks:
            _refuse_drawn_by_a_gate(run, "candidate")
        return _recorded(options, run)
    if model == "reference" or model.startswith("samples:"):
        config = file_config(baseline, model, k=options.k, subset=options.allow_subset, machine=options.machine)
        _check_comparable(options, protocol_here(config), baseline)
        pipeline.run(config, out / CANDIDATE, fresh=options.fresh)
        return _recorded(options, read_measured(out / CANDIDATE))
    _check_model(model)
    if options.confirm_run is not None:
        raise UsageError(f"--confirm is for a run; {model} is asked for fresh samples by the gate itself")
    config = asked_config(baseline, model, k=options.k, seed=options.seed, machine=options.machine)
    return AskedCandidate(config, baseline, out, options.k)


def _check_model(model: str) -> None:
    from models.catalog import kind_of

    try:
        kind_of(model)
    except ValueError as error:
        raise UsageError(f"{model} is no run directory, and: {error}, samples:FILE, reference") from error


def _recorded(options: GateOptions, run: MeasuredRun) -> RecordedCandidate:
    if options.seed is not None:
        raise UsageError(f"--seed is for a model that is asked for samples; {options.candidate} has them")
    return RecordedCandidate(run, read_measured(options.confirm_run) if options.confirm_run else None)


def _refuse_drawn_by_a_gate(run: MeasuredRun, side: str) -> None:
    """How many samples such a run has depends on how good they were."""
    if run.path.name in (CANDIDATE, FRESH, FRESH_BASELINE) and (run.path.parent / NAME).exists():
        raise UsageError(
            f"{run.path} was drawn by a gate, which stopped when it had seen enough: as a {side} its luck would count "
            f"twice. Draw the {side} anew: python -m harness run -n N"
        )


def _plan(options: GateOptions, candidate: Candidate) -> GatePlan:
    looks = options.looks or candidate.usual_looks
    if candidate.greedy and candidate.run is None and looks != (1,):
        raise UsageError(
            "the baseline was decoded at temperature 0, so a second sample is the first one again; type --looks 1"
        )
    try:
        return GatePlan(
            k=options.k,
            margin=options.margin,
            alpha=options.alpha,
            target=options.target,
            looks=looks,
            spending=options.spending,
            # What is not drawn at random cannot be drawn afresh.
            confirm_on_fail=options.confirm and not candidate.greedy,
            max_unjudged=0.0 if options.missing is Missing.ERROR else MAX_UNJUDGED,
        )
    except ValueError as error:
        hint = f"; {options.margin:g} points are --margin {options.margin / 100:g}" if options.margin >= 1 else ""
        raise UsageError(f"{error}{hint}") from error


def _check_sizes(bench: Bench) -> None:
    """Whether both have as many samples as the plan takes."""
    plan, candidate = bench.plan, bench.candidate.run
    least = max(plan.k, 2 if plan.target is Target.BENCHMARK else 1)
    for side, run in (("baseline", bench.baseline), ("candidate", candidate)):
        if run is not None and run.fewest < least:
            raise UsageError(
                f"the {side} {run.path} has {run.fewest} samples of some problem; pass@{plan.k} with the target "
                f"{plan.target.value} takes {least}: draw more, or type another --k or --target"
            )
    if candidate is not None and plan.looks and candidate.fewest < plan.looks[0]:
        raise UsageError(
            f"the first look takes {plan.looks[0]} samples of each problem; {candidate.path} has {candidate.fewest}. "
            f"Name earlier looks with --looks, or none for one look at all there is"
        )


def _notes(bench: Bench) -> Sequence[str]:
    """What a reader should know of the two sides."""
    run, baseline, plan = bench.candidate.run, bench.baseline, bench.plan
    notes = []
    if bench.candidate.greedy and bench.options.confirm:
        notes.append("decoding is greedy: there are no fresh samples, so a FAIL is not put to them")
    if run is None:
        return notes
    if run.samples_digest == baseline.samples_digest:
        notes.append("candidate and baseline hold the same samples, to the letter")
    elif run.seed is not None and run.seed == baseline.seed and not bench.candidate.greedy:
        notes.append(
            f"both were drawn with seed {run.seed}: they share some luck, which makes them look more alike than fresh "
            f"samples would; draw the candidate with another --seed"
        )
    if plan.looks and run.fewest > plan.looks[-1]:
        notes.append(f"of the {run.fewest} samples only the first {plan.looks[-1]} of each problem are looked at")
    if bench.options.missing is not Missing.ERROR:
        lost = [side.counts().num_unjudged + side.counts().num_missing for side in (run, baseline)]
        if any(lost):
            treated = "count as failures" if bench.options.missing is Missing.FAIL else "are left out"
            notes.append(
                f"{lost[0]} samples of the candidate and {lost[1]} of the baseline have no verdict and {treated}"
            )
    return notes
