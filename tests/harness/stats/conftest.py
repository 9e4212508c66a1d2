"""Properties are not timed: a busy machine makes any of them slow, and none of them wrong."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
