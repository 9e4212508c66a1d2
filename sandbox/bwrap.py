"""The local box with bubblewrap as its launcher, for machines that forbid user namespaces to all but a few programs.

Ubuntu since 23.10, for one: there Python may create a user namespace but gets no power in it, while `bwrap` has a
profile of its own. Not for root: bubblewrap would map the box's user to root, to whom RLIMIT_NPROC does not apply.
"""

from __future__ import annotations

import os
import shutil
import sys

from sandbox.isolate import SCRATCH_BYTES, Tree

ZYGOTE = "/harness/sandbox/zygote.py"
"""The zygote inside, where no scratch directory can hide it, wherever it lies outside."""


def available() -> bool:
    """Whether `bwrap` can be the launcher here."""
    return os.geteuid() != 0 and shutil.which("bwrap") is not None


def command(tree: Tree, zygote: str) -> list[str]:
    """What comes before the zygote's own command line, for a box that shows `tree` and the zygote's own code."""
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "box"]
    for path in tree.binds:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        else:
            words += ["--ro-bind", path, path]
    for outside, inside in tree.moves:
        words += ["--ro-bind", outside, inside]
    words += ["--ro-bind", os.path.dirname(zygote), os.path.dirname(ZYGOTE)]
    words += ["--ro-bind", _interpreter(), _interpreter()]
    for path in tree.masks:
        words += ["--tmpfs", path, "--remount-ro", path]
    words += ["--dir", "/dev"]
    for name in ("null", "zero", "random", "urandom"):
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for path in ("/tmp", "/dev/shm"):
        words += ["--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", path]
    # The zygote improves on the mounts where it may (`isolate.finish_mounts`), and gives up the power to do so.
    return [*words, "--proc", "/proc", "--remount-ro", "/", "--cap-add", "CAP_SYS_ADMIN", "--"]


def _interpreter() -> str:
    return os.path.realpath(sys.executable)
