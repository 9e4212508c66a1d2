"""What a zygote does once so that no program's process has to do it again, and so that a fork of it touches few pages.

A fork copies no memory, but the child pays for every page that it writes to, and in CPython reading an object writes
its reference count. On the machines measured a page costs 3 microseconds and a child touches 200 to 300 of them: more
than compiling and running a typical program takes.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from sandbox import runner

_MODULES = (
    "bisect",
    "collections",
    "copy",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "re",
    "string",
    "typing",
)
"""What programs import most. Each further module makes every fork dearer: `dataclasses` alone, which few programs
import, by a seventh."""


def warm_up(preload: Iterable[str]) -> None:
    """Pays once for what every child would pay again: imports, and the first use of everything."""
    import site

    site.setquit()
    site.sethelper()
    _import_random()
    for name in [*_MODULES, *preload]:
        __import__(name)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(0)
    runner.rehearse()
    # A program that imports a module of ours by name must not find it.
    for name in [name for name in sys.modules if name.split(".")[0] == "sandbox"]:
        del sys.modules[name]
    gc.collect()
    _fill_pools()
    gc.freeze()
    gc.disable()


def _import_random() -> None:
    """Imports `random` with a fixed state, and without its hook that would draw a new one at every fork."""
    register = os.register_at_fork
    os.register_at_fork = lambda **hooks: None  # restored below
    import random

    os.register_at_fork = register
    random.seed(0)


_filling: list[list[Any]] = []
"""Keeps what `_fill_pools` made alive."""


def _fill_pools() -> None:
    """Fills the holes that freed objects left between living ones.

    The allocator would give a child those holes first, each on another page that must be copied for it. Without holes
    its objects come one after the other on fresh pages: a sixth fewer of them, for no memory that was not ours already.
    """
    for _ in range(2):  # the first round leaves holes of its own
        for size, count in _holes():
            if size == 16:
                _filling.append([object() for _ in range(count)])
            elif size == 32:
                _filling.append([number + 0.5 for number in range(count)])
            else:
                _filling.append([bytes(size - b"".__sizeof__()) for _ in range(count)])


def _holes() -> Iterator[tuple[int, int]]:
    """(size in bytes, number of free blocks of that size) in pages that hold other objects already.

    From CPython's own account of its allocator, which it writes to the standard error stream and nowhere else; where
    that has another form, no holes are known.
    """
    report = getattr(sys, "_debugmallocstats", None)
    if report is None:
        return
    account, error = os.memfd_create("account", os.MFD_CLOEXEC), os.dup(2)
    try:
        os.dup2(account, 2)
        report()
        text = os.pread(account, 1 << 16, 0).decode("ascii", "replace")
    finally:
        os.dup2(error, 2)
        os.close(error)
        os.close(account)
    for line in text.splitlines():
        fields = line.split()  # class, size, pools, blocks in use, free blocks
        if len(fields) == 5 and all(field.isdigit() for field in fields) and int(fields[1]) <= 512:
            yield int(fields[1]), int(fields[4])
