"""Looking several times at data that grow, without more false alarms: boundaries by alpha spending.

Lan and DeMets 1983. The statistic at information t is a Brownian motion divided by sqrt(t); its law over all looks is
computed by quadrature, look by look.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NODES = 400
REACH = 10.0
"""Standard deviations beyond which nothing is left to integrate."""


class Spending(StrEnum):
    """How much of alpha may be spent up to a share of the information."""

    POCOCK = "pocock"
    """`alpha ln(1 + (e - 1) t)`: clear cases stop early."""
    OBF = "obf"
    """`2 - 2 Phi(z / sqrt(t))`, after O'Brien and Fleming: hardly anything early, nearly a fixed test at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossings:
    """The chances to leave at each look, upwards and downwards."""

    above: tuple[float, ...]
    below: tuple[float, ...]


_State = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""Places of the motion, and the mass at each of those still in the band."""


def spent(fraction: float, alpha: float, spending: Spending) -> float:
    """The part of a one-sided `alpha` that may be spent up to this share of the information."""
    from scipy.special import ndtr, ndtri

    if fraction >= 1:
        return alpha
    if spending is Spending.POCOCK:
        return alpha * math.log(1 + (math.e - 1) * fraction)
    return 2 * float(ndtr(ndtri(alpha / 2) / math.sqrt(fraction)))


@functools.lru_cache(maxsize=256)
def group_sequential_bounds(
    fractions: tuple[float, ...], alpha: float, spending: Spending = Spending.POCOCK
) -> tuple[float, ...]:
    """The normal quantile to exceed at each look, so that all looks together err with the chance `alpha`, one-sided.

    Args:
        fractions: the share of the information at each look, rising to 1.
        alpha: of the whole.
        spending: how it is divided.

    Raises:
        ValueError: the fractions do not rise to 1, or alpha is not between 0 and one half.
    """
    _check(fractions, alpha)
    bounds: list[float] = []
    used = before = 0.0
    state = _start()
    for fraction in fractions:
        budget = spent(fraction, alpha, spending) - used
        used += budget
        bound = _bound(state, math.sqrt(fraction - before), math.sqrt(fraction), budget)
        bounds.append(bound)
        state = _advance(state, before, fraction, -REACH, bound, 0.0)
        before = fraction
    return tuple(bounds)


def _bound(state: _State, step: float, root: float, budget: float) -> float:
    """The normal quantile that what is still in the band exceeds with the chance `budget`."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    nodes, masses = state

    def excess(z: float) -> float:
        return float((masses * ndtr((nodes - z * root) / step)).sum()) - budget

    return float(brentq(excess, -REACH, REACH, xtol=1e-10)) if excess(REACH) < 0 else REACH


def crossings(
    fractions: Sequence[float], lower: Sequence[float], upper: Sequence[float], drift: float = 0.0
) -> Crossings:
    """The chances to leave the band at each look, of a statistic with mean `drift * sqrt(t)` and variance 1.

    Args:
        fractions: the share of the information at each look, rising to 1.
        lower, upper: the band at each look; where `lower` is not below `upper`, everything leaves, upwards from the
            upper one.
        drift: the mean of the statistic at full information.
    """
    from scipy.special import ndtr

    state = _start()
    above, below = [], []
    before = 0.0
    for fraction, low, high in zip(fractions, lower, upper, strict=True):
        nodes, masses = state
        step, root = math.sqrt(fraction - before), math.sqrt(fraction)
        shift = drift * (fraction - before)
        low = min(low, high)
        above.append(float((masses * ndtr((nodes + shift - high * root) / step)).sum()))
        below.append(float((masses * ndtr((low * root - nodes - shift) / step)).sum()))
        state = _advance(state, before, fraction, low, high, drift)
        before = fraction
    return Crossings(above=tuple(above), below=tuple(below))


def _start() -> _State:
    import numpy as np

    return np.zeros(1), np.ones(1)


def _advance(state: _State, before: float, now: float, lower: float, upper: float, drift: float) -> _State:
    """The motion at the next look, of what stays between the two normal quantiles."""
    import numpy as np

    nodes, masses = state
    step, root = math.sqrt(now - before), math.sqrt(now)
    low = max(lower * root, drift * now - REACH * root)
    high = min(upper * root, drift * now + REACH * root)
    if low >= high:
        return np.zeros(1), np.zeros(1)
    points, weights = _legendre()
    places = (low + high) / 2 + (high - low) / 2 * points
    distance = (places[:, None] - nodes[None, :] - drift * (now - before)) / step
    density = np.exp(-(distance**2) / 2) @ masses / (step * math.sqrt(2 * math.pi))
    return places, density * weights * (high - low) / 2


@functools.lru_cache(maxsize=1)
def _legendre() -> _State:
    import numpy as np

    return np.polynomial.legendre.leggauss(NODES)


def _check(fractions: Sequence[float], alpha: float) -> None:
    rising = all(one < other for one, other in itertools.pairwise(fractions))
    if not fractions or not rising or fractions[0] <= 0 or abs(fractions[-1] - 1) > 1e-9:
        raise ValueError(f"fractions must rise from above 0 to 1, such as 0.25, 0.5, 1; got {tuple(fractions)}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is one-sided and lies between 0 and 0.5, not {alpha}")
