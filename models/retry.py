"""When to ask a server again: what it asks for itself, or waits that double, spread by chance so that not all come back
at once."""

from __future__ import annotations

import datetime
import email.utils
import random

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0


class Again(Exception):
    """What another attempt may not meet.

    Args:
        reason: what went wrong, for people.
        after_s: how long the server asks us to wait; None where it does not say.
    """

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def wait_s(attempt: int, chance: random.Random, asked_s: float | None = None) -> float:
    """Seconds before the attempt that follows number `attempt`, counted from 0; never more than `LONGEST_WAIT_S`.

    Args:
        attempt: the one that failed.
        chance: draws once, so that the waits of a request are those of its seed.
        asked_s: what the server asks for; it is kept instead.
    """
    usual_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt, 30)) * (0.5 + 0.5 * chance.random())
    return usual_s if asked_s is None else min(asked_s, LONGEST_WAIT_S)


def asked_wait_s(header: str | None, now_s: float) -> float | None:
    """The wait that a `Retry-After` asks for, as a number of seconds or as a date (RFC 9110, 10.2.3); None for none.

    Args:
        header: its text.
        now_s: seconds since 1970.
    """
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, when.timestamp() - now_s)
