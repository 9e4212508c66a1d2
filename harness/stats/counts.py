"""Counts: how many completions of each problem were judged, and how many passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.records import Grade, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    def from_grades(cls, grades: Iterable[Grade], expected: Mapping[str, int]) -> Counts:
        """Count `grades` per problem.

        Args:
            grades: in any order, at most one for each sample.
            expected: task_id -> completions the run asked for; its order is the order of the rows.

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
        )


def _column(values: Mapping[str, int], expected: Mapping[str, int]) -> NDArray[np.int64]:
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
