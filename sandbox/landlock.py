"""Landlock: a process gives up rights to files, TCP and signals for good (Linux 5.13 and newer).

The wall of last resort, where neither namespaces nor Docker are to be had. It is put around each program's process, not
around the zygote, which has to read the clocks of its children. It does not watch modes, owners, times and attributes
of files; `sandbox.seccomp.assemble_lonely` does. Not covered: which files exist, and how large they are, can be seen.
Interface: the UAPI header `linux/landlock.h`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
# Rights to the file system that each version of the interface knows: 13, then refer, truncate, ioctl on devices.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_SINCE, _TCP_RIGHTS = 4, 3  # bind, connect
_SCOPES_SINCE, _SCOPES = 6, 3  # abstract unix sockets, signals

_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The version of the interface that the kernel offers, 0 for none."""
    return max(0, int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))))


def scopes_signals() -> bool:
    """Whether a program can be kept from signalling processes outside its wall."""
    return version() >= _SCOPES_SINCE


def build(readable: Iterable[str]) -> int:
    """A descriptor of a rule set: reading below `readable`, and nothing else of the file system, TCP or signals.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    known = version()
    if known == 0:
        raise OSError(38, "the kernel has no Landlock")
    rights = _FILE_RIGHTS[max(step for step in _FILE_RIGHTS if step <= known)]
    rules = _Ruleset(rights, _TCP_RIGHTS if known >= _TCP_SINCE else 0, _SCOPES if known >= _SCOPES_SINCE else 0)
    # An older kernel refuses a structure with fields that it does not know unless they are zero.
    descriptor = _checked(_libc.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), 0))
    for path in readable:
        _allow(descriptor, path)
    return descriptor


def _allow(descriptor: int, path: str) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE
        if path.startswith("/dev/"):
            allowed |= _WRITE_FILE
        rule = _Beneath(allowed, parent)
        _checked(_libc.syscall(_ADD_RULE, descriptor, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(parent)


def restrict(descriptor: int) -> None:
    """Puts the calling process under the rule set for good; needs no_new_privs.

    Raises:
        OSError: the kernel refuses.
    """
    _checked(_libc.syscall(_RESTRICT, descriptor, 0))


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"landlock: {os.strerror(error)}")
    return result
