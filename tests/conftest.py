"""For all tests."""

from __future__ import annotations

import signal

from hypothesis import settings

# Properties are not timed: a busy machine makes any of them slow, and none of them wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure() -> None:
    """What a shell starts in the background ignores interrupts, and tests that send one would wait for ever."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
