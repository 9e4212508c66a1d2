"""Counts: how many completions of each problem were judged, and how many passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.records import Grade, Verdict
from harness.stats.pass_at_k import check_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class Missing(StrEnum):
    """What becomes of completions without a verdict."""

    ERROR = "error"
    EXCLUDE = "exclude"
    """They are in no score: n is what was judged."""
    FAIL = "fail"
    """Each counts as a failure of the model."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Counts:
    """One row per problem, in the order of the task; `n + unjudged + missing` is what the run asked for."""

    task_id: tuple[str, ...]
    """The m problems."""
    n: NDArray[np.int64]
    """int64[m]: completions with a verdict about the model."""
    c: NDArray[np.int64]
    """int64[m]: how many of those passed."""
    unjudged: NDArray[np.int64]
    """int64[m]: completions that a fault of ours left without a verdict; in neither `n` nor `c`."""
    missing: NDArray[np.int64]
    """int64[m]: completions the run asked for that have no grade at all."""
    cluster: tuple[str, ...] | None = None
    """Which problems belong together, one name for each; None where each stands alone."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """What makes scores comparable, as plain data; empty where it is not known."""

    def __post_init__(self) -> None:
        m = len(self.task_id)
        if len(set(self.task_id)) != m:
            twice = next(task_id for task_id, count in Counter(self.task_id).items() if count > 1)
            raise ValueError(f"problem {twice!r} is there twice; each takes one row")
        for name in ("n", "c", "unjudged", "missing"):
            if (shape := getattr(self, name).shape) != (m,):
                raise ValueError(f"`{name}` has shape {shape}; {m} problems take one count each")
        if self.cluster is not None and len(self.cluster) != m:
            raise ValueError(f"there are {len(self.cluster)} clusters for {m} problems; name one for each problem")

    @property
    def num_unjudged(self) -> int:
        return int(self.unjudged.sum())

    @property
    def num_missing(self) -> int:
        return int(self.missing.sum())

    @property
    def expected(self) -> NDArray[np.int64]:
        """int64[m]: completions the run asked for."""
        return self.n + self.unjudged + self.missing

    @property
    def complete(self) -> bool:
        """True where every completion the run asked for has a verdict."""
        return not self.num_unjudged and not self.num_missing

    @classmethod
    def from_outcomes(
        cls, passed: Mapping[str, Iterable[bool | None]], protocol: Mapping[str, Any] | None = None
    ) -> Counts:
        """Count what passed, per problem; None is a completion without a verdict.

        Raises:
            ValueError: there are no problems, or one has no completions.
        """
        outcomes = {task_id: list(values) for task_id, values in passed.items()}
        _check_expected({task_id: len(values) for task_id, values in outcomes.items()})
        judged = {task_id: sum(value is not None for value in values) for task_id, values in outcomes.items()}
        return cls(
            task_id=tuple(outcomes),
            n=_column(judged, outcomes),
            c=_column(
                {task_id: sum(value is True for value in values) for task_id, values in outcomes.items()}, outcomes
            ),
            unjudged=_column(
                {task_id: len(values) - judged[task_id] for task_id, values in outcomes.items()}, outcomes
            ),
            missing=_column(dict.fromkeys(outcomes, 0), outcomes),
            protocol=protocol or {},
        )

    @classmethod
    def of(
        cls,
        n: ArrayLike,
        c: ArrayLike,
        *,
        task_id: Iterable[str] | None = None,
        cluster: Iterable[str] | None = None,
        protocol: Mapping[str, Any] | None = None,
    ) -> Counts:
        """Counts that are known as numbers, all of them judged; without `task_id` the problems are numbered from 0.

        Raises:
            ValueError: as `pass_at_k`, or a problem is there twice, or names are not as many as problems.
        """
        import numpy as np

        completions, correct = check_counts(n, c, 1)
        none = np.zeros_like(completions)
        return cls(
            task_id=tuple(task_id) if task_id is not None else tuple(map(str, range(completions.size))),
            n=completions,
            c=correct,
            unjudged=none,
            missing=none,
            cluster=tuple(cluster) if cluster is not None else None,
            protocol=protocol or {},
        )

    def settled(self, missing: Missing) -> Counts:
        """The same with every completion in `n` or out of the question, in the way that was chosen.

        Raises:
            ValueError: some completions lack a verdict and the choice is `ERROR`; or a problem has none that is judged.
        """
        import numpy as np

        if self.complete:
            return self
        if missing is Missing.ERROR:
            raise ValueError(
                f"{self.num_unjudged} completions are unjudged and {self.num_missing} missing; finish the run by "
                f"typing its command again, or say what becomes of them: {Missing.EXCLUDE} or {Missing.FAIL}"
            )
        n = self.expected if missing is Missing.FAIL else self.n
        if n.min() < 1:
            raise ValueError(f"problem {self.task_id[int(n.argmin())]!r} has no completion with a verdict")
        none = np.zeros_like(n)
        return replace(self, n=n, unjudged=none, missing=none)

    def select(self, rows: Sequence[int]) -> Counts:
        """The problems at these 0-based rows, in this order."""
        import numpy as np

        index = np.asarray(rows, dtype=np.intp)
        return Counts(
            task_id=tuple(self.task_id[row] for row in rows),
            n=self.n[index],
            c=self.c[index],
            unjudged=self.unjudged[index],
            missing=self.missing[index],
            cluster=None if self.cluster is None else tuple(self.cluster[row] for row in rows),
            protocol=self.protocol,
        )

    @classmethod
    def from_grades(
        cls, grades: Iterable[Grade], expected: Mapping[str, int], protocol: Mapping[str, Any] | None = None
    ) -> Counts:
        """Count `grades` per problem.

        Args:
            grades: in any order, at most one for each sample.
            expected: task_id -> completions the run asked for; its order is the order of the rows.
            protocol: what makes scores comparable.

        Raises:
            ValueError: no problems are expected, a problem expects fewer than one completion, two grades are of one
                sample, or a problem has grades that nobody asked for.
        """
        _check_expected(expected)
        keys: set[tuple[str, int]] = set()
        judged: Counter[str] = Counter()
        passed: Counter[str] = Counter()
        unjudged: Counter[str] = Counter()
        for grade in grades:
            _check_grade(grade, keys, expected)
            keys.add(grade.key)
            (unjudged if grade.verdict is Verdict.UNJUDGED else judged)[grade.task_id] += 1
            passed[grade.task_id] += grade.passed
        missing = {task_id: asked - judged[task_id] - unjudged[task_id] for task_id, asked in expected.items()}
        _check_surplus(missing, expected)
        return cls(
            task_id=tuple(expected),
            n=_column(judged, expected),
            c=_column(passed, expected),
            unjudged=_column(unjudged, expected),
            missing=_column(missing, expected),
            protocol=protocol or {},
        )


def _column(values: Mapping[str, int], expected: Iterable[str]) -> NDArray[np.int64]:
    """int64[m]: one of the counts in the order of `expected`."""
    import numpy as np

    return np.array([values[task_id] for task_id in expected], dtype=np.int64)


def _check_expected(expected: Mapping[str, int]) -> None:
    if not expected:
        raise ValueError("there are no problems: `expected` is empty")
    for task_id, asked in expected.items():
        if asked < 1:
            raise ValueError(f"problem {task_id!r} expects {asked} completions; leave it out or ask for at least 1")


def _check_grade(grade: Grade, keys: set[tuple[str, int]], expected: Mapping[str, int]) -> None:
    if grade.task_id not in expected:
        raise ValueError(f"a grade is of problem {grade.task_id!r}, which is not among the {len(expected)} of this run")
    if grade.key in keys:
        raise ValueError(
            f"two grades are of problem {grade.task_id!r}, sample {grade.index}; keep the last row of each sample"
        )


def _check_surplus(missing: Mapping[str, int], expected: Mapping[str, int]) -> None:
    for task_id, count in missing.items():
        if count < 0:
            asked = expected[task_id]
            raise ValueError(f"problem {task_id!r} has {asked - count} grades, but the run asked for {asked}")
