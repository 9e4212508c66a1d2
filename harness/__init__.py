"""A benchmark harness for code models: problems, samples, verdicts, statistics."""

from __future__ import annotations

import os

__all__ = ["__version__", "own_root"]

__version__ = "0.1.0"


def own_root() -> str:
    """The directory that holds our four packages."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
