"""`python -m harness`: our own four packages before anybody else's, then the command line."""

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _own_packages_first() -> None:
    """Binds our package names to our directory, and takes the current directory off the import path.

    `python -m` puts the current directory first, where a user's `models/` or `json.py` would take the place of ours or
    of the standard library's.
    """
    here = os.getcwd()
    rest = [path for path in sys.path if path not in ("", here, _ROOT)]
    sys.path[:] = [_ROOT, *rest]
    for name in ("harness", "models", "sandbox", "tasks"):
        __import__(name)
    if os.path.basename(_ROOT) in ("site-packages", "dist-packages"):
        sys.path[:] = [*rest, _ROOT]  # what else is installed there must not come before the standard library


def main() -> int:
    """Runs the command line; its exit code."""
    _own_packages_first()
    from harness.cli import main as command

    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
