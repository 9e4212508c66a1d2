"""What is asked of counts that came from somewhere: checked at the door, so that the statistics need not ask again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.config import DEFAULT_KS, UsageError
from harness.stats.counts import Counts, Missing
from harness.stats.intervals import LEVEL, check_level
from harness.stats.protocol import NotComparable
from harness.stats.result_files import SAMPLING_FIELD, Results, read_results

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What the command line, and not a run, decides about a comparison."""

    ks: tuple[int, ...] = ()
    """Empty for those of `DEFAULT_KS` that every problem allows."""
    level: float = LEVEL
    """Of all intervals."""
    missing: Missing = Missing.ERROR
    """What becomes of completions without a verdict."""
    base: bool = False
    """Of EvalPlus: the verdicts by the base tests alone."""
    filter: str | None = None
    """Of lm-eval: the filter whose rows count."""
    cluster: str = ""
    """A pattern, or a JSON file; see `clustered`."""
    may_differ: tuple[str, ...] = ()
    """Fields of the protocol that are no reason to refuse."""
    seed: int = 0
    """Of whatever is drawn at random."""

    def __post_init__(self) -> None:
        try:
            check_level(self.level)
        except ValueError as error:
            raise UsageError(f"--level: {error}") from error
        if any(k < 1 for k in self.ks):
            raise UsageError(f"k must be 1 or more, not {min(self.ks)}")

    def read(self, path: Path) -> Results:
        """The scores in a run directory or a file of results, with every completion accounted for.

        Raises:
            UsageError: it cannot be read, completions lack a verdict, or a problem has no cluster.
        """
        results = read_results(path, base_only=self.base, lm_eval_filter=self.filter)
        base = None if results.base is None else self._ready(results.base, path)
        return replace(results, counts=self._ready(results.counts, path), base=base)

    def _ready(self, counts: Counts, path: Path) -> Counts:
        return clustered(settled(counts, self.missing, path), self.cluster)

    def usable_ks(self, fewest: int, whose: str = "some problem") -> tuple[int, ...]:
        """The k that were asked for, or the usual ones that `fewest` completions allow.

        Raises:
            UsageError: there are too few for one of them.
        """
        ks = tuple(sorted(set(self.ks))) or tuple(k for k in DEFAULT_KS if k <= fewest) or (1,)
        if ks[-1] > fewest:
            advice = f"type -k {fewest} or less" if fewest else "draw more"
            raise UsageError(f"k = {ks[-1]} takes {ks[-1]} judged completions; {whose} has {fewest}; {advice}")
        return ks

    def generator(self) -> Any:
        """A generator that nobody has drawn from."""
        import numpy as np

        return np.random.default_rng(self.seed)


def settled(counts: Counts, missing: Missing, path: Path) -> Counts:
    """Counts in which every completion has found its place.

    Raises:
        UsageError: some have no verdict and nothing was said of them, or a problem has none that is judged.
    """
    if not counts.complete and missing is Missing.ERROR:
        raise UsageError(
            f"{path}: {counts.num_unjudged} completions are unjudged and {counts.num_missing} missing. Type the "
            f"command of the run again, or say what becomes of them: --missing exclude, or --missing fail"
        )
    try:
        return counts.settled(missing)
    except ValueError as error:
        raise UsageError(f"{path}: {error}; finish the run, or type --missing fail") from error


def comparable(work: Callable[[], T], hint: str) -> T:
    """What `work` returns; scores that measure different things are a mistake of whoever named them.

    Raises:
        UsageError: they are; with every field that differs, and the hint.
    """
    try:
        return work()
    except NotComparable as error:
        raise UsageError(f"{error}\n{hint}") from error


def fewest_completions(every: Sequence[Counts]) -> int:
    """Of the problem that has fewest in any of them."""
    return min(int(counts.n.min()) for counts in every)


def sampling_text(results: Results) -> str:
    """How the completions were drawn, as far as it is recorded."""
    sampling = results.counts.protocol.get(SAMPLING_FIELD)
    if not sampling:
        return "sampling not recorded"
    return ", ".join(f"{name.replace('_', '-')} {value:g}" for name, value in sampling.items())


# ---------------------------------------------------------------------------------------------------------------------
# Clusters
# ---------------------------------------------------------------------------------------------------------------------


def clustered(counts: Counts, cluster: str) -> Counts:
    """The counts with their clusters.

    Args:
        counts: of problems that may belong together, such as one problem in several languages.
        cluster: a regular expression: what it finds in a task_id (its first group, if it has one) names the cluster; or
            the path of a `.json` file that holds an object, task_id -> cluster. Empty: each problem stands alone.

    Raises:
        UsageError: it is neither, or leaves a problem without a cluster.
    """
    if not cluster:
        return counts
    names = _from_file(Path(cluster), counts) if cluster.endswith(".json") else _from_pattern(cluster, counts)
    return replace(counts, cluster=names)


def _from_file(path: Path, counts: Counts) -> tuple[str, ...]:
    try:
        known = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"--cluster {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--cluster {path} is not JSON: {error}") from error
    if not isinstance(known, dict) or not all(isinstance(name, str) for name in known.values()):
        raise UsageError(f'--cluster {path} must hold one object: {{"task_id": "name of its cluster", ...}}')
    return tuple(_named(known.get(task_id), task_id, str(path)) for task_id in counts.task_id)


def _from_pattern(pattern: str, counts: Counts) -> tuple[str, ...]:
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise UsageError(
            f"--cluster {pattern!r} is no regular expression ({error}), and no file, which ends in .json"
        ) from error
    group = 1 if re.compile(pattern).groups else 0
    found = ((task_id, search(task_id)) for task_id in counts.task_id)
    return tuple(_named(match[group] if match else None, task_id, pattern) for task_id, match in found)


def _named(name: str | None, task_id: str, origin: str) -> str:
    if name is None:
        raise UsageError(f"--cluster {origin} names no cluster for problem {task_id!r}; every problem takes one")
    return name


# ---------------------------------------------------------------------------------------------------------------------
# Answers for programs
# ---------------------------------------------------------------------------------------------------------------------


def print_json(value: Any) -> None:
    """Prints plain data; what is not finite is null, because JSON has no word for it."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
