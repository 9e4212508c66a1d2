"""The walls of a box: namespaces, a root of read-only mounts, no capabilities, a system call filter, limits.

Everything is set up once per box and inherited by each program that runs in it; that is what makes isolation nearly
free. The order matters and is the reason this is one file:

    launcher   new mount, pid, ipc, uts, network (and, without root, user) namespaces; the tree of mounts
    pid 1      a detached procfs (the kernel refuses it once the old root is gone), pivot_root, a user namespace that
               maps one unprivileged id, no capabilities, no_new_privs, the filter

Not covered: a hole in the kernel itself, timing and cache side channels.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_ALL_BUT_USER = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_SYS_MOUNT_SETATTR, _AT_RECURSIVE, _AT_FDCWD = 442, 0x8000, -100
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 24, 38, 47

INSIDE_ID = 1000
"""User and group id of the box as programs in it see them, when the launcher is root."""
OUTSIDE_ID = 200_000
"""First id outside; ids this high belong to no account, and RLIMIT_NPROC is not enforced for root."""

SCRATCH_BYTES = 16 << 20
SCRATCH_INODES = 1024
_DEVICES = ("null", "zero", "random", "urandom")
_DEVICE_ATTRIBUTES = 0x1 | 0x2
"""Read-only and nosuid: a device can still be written to, but not its times, which all boxes share."""


class Tree(NamedTuple):
    """What a box sees of the file system; all of it read-only, at the same paths as outside."""

    binds: tuple[str, ...]
    """Directories and files to show."""
    masks: tuple[str, ...]
    """Directories inside `binds` to show empty."""
    moves: tuple[tuple[str, str], ...] = ()
    """(path outside, path inside) of directories shown elsewhere."""


class IsolationError(OSError):
    """A step of the set-up was refused; the message names the step."""


def _check(result: int, step: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise IsolationError(error, f"{step}: {os.strerror(error)}")


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _check(
        _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]),
        f"mount {kind or source or 'change'} on {target}",
    )


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _make_read_only(path: str, attributes: int = 0x1 | 0x2 | 0x4) -> None:
    """Read-only, nosuid and nodev (or other `attributes`) for `path` and every mount below it."""
    result = _libc.syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(path),
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.byref(_MountAttr(attr_set=attributes)),
        ctypes.sizeof(_MountAttr),
    )
    _check(result, f"make {path} read-only (needs Linux 5.12)")


def enter_namespaces() -> bool:
    """Gives this process new namespaces; its next child is pid 1 of the new pid namespace.

    Returns:
        Whether the process was privileged. If so the user namespace is still to come (`enter_user_namespace`), so that
        the mounts belong to real root and nothing in the box has power over them.

    Raises:
        IsolationError: the kernel or a security module refuses.
    """
    if os.geteuid() == 0 and _libc.unshare(_ALL_BUT_USER) == 0:
        privileged = True
    else:
        uid, gid = os.geteuid(), os.getegid()
        _check(_libc.unshare(CLONE_NEWUSER | _ALL_BUT_USER), "create a user namespace")
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
        privileged = False
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    return privileged


def _write(path: str, text: str, *, dir_fd: int | None = None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise IsolationError(error.errno, f"write {path}: {error.strerror}") from None
    finally:
        os.close(descriptor)


def build_root(tree: Tree) -> str:
    """Mounts the box's root directory in the new mount namespace and returns where."""
    root = _free_directory([*tree.binds, *(outside for outside, _ in tree.moves)])
    _mount("box", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path in tree.binds:
        _show(path, root + path)
    for outside, inside in tree.moves:
        _show(outside, root + inside)
    for path in tree.masks:
        if os.path.isdir(root + path):
            _mount("mask", root + path, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_RDONLY, "size=4k,mode=755")
    _build_devices(root)
    _mount_scratch(root)
    os.mkdir(root + "/proc")
    return root


def _mount_scratch(root: str) -> None:
    for path in ("/tmp", "/dev/shm"):
        os.makedirs(root + path, exist_ok=True)
        options = f"size={SCRATCH_BYTES},nr_inodes={SCRATCH_INODES},mode=1777"
        _mount("scratch", root + path, "tmpfs", _MS_NOSUID | _MS_NODEV, options)


def finish_mounts() -> None:
    """What bubblewrap has no words for, from inside its box: devices without times, a limit of inodes, no /proc.

    Raises:
        IsolationError: not allowed, as where a security module takes all power from what bubblewrap starts.
    """
    for name in _DEVICES:
        _make_read_only(f"/dev/{name}", _DEVICE_ATTRIBUTES)
    _mount_scratch("")
    _check(_libc.umount2(b"/proc", _MNT_DETACH), "detach the procfs")


def seal(keep: str) -> str:
    """Makes the file system as it is read-only for this process, which `enter_namespaces` must have set apart.

    For programs of others that are measured beside ours. Returns a scratch directory; `keep` stays visible.
    """
    scratch = _free_directory([keep, *sys.path])
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV)
    _make_read_only("/")
    for path in (scratch, "/dev/shm"):
        _mount("scratch", path, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1g,mode=1777")
    return scratch


def _free_directory(shown: Sequence[str]) -> str:
    """An existing directory that a mount may hide, because nothing we show lies below it."""
    for candidate in ("/mnt", "/media", "/srv", "/opt", "/run", "/var", "/home"):
        if os.path.isdir(candidate) and not any(path.startswith(candidate + "/") for path in shown):
            return candidate
    raise IsolationError(2, "find a directory to build the box's root in")


def _show(path: str, target: str) -> None:
    if os.path.islink(path):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.lexists(target):
            os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
    _mount(path, target, None, _MS_BIND | _MS_REC)
    _make_read_only(target)


def _build_devices(root: str) -> None:
    os.mkdir(root + "/dev")
    for name in _DEVICES:
        target = f"{root}/dev/{name}"
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        _mount(f"/dev/{name}", target, None, _MS_BIND)
        _make_read_only(target, _DEVICE_ATTRIBUTES)


def open_procfs(root: str) -> int | None:
    """A handle on a procfs of this pid namespace that no path leads to; None where the kernel does not allow one."""
    try:
        _mount("proc", root + "/proc", "proc", _MS_NOSUID | _MS_NODEV)
    except IsolationError:
        return None  # inside a container whose own /proc is masked
    descriptor = os.open(root + "/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _check(_libc.umount2(os.fsencode(root + "/proc"), _MNT_DETACH), "detach the procfs")
    return descriptor


def change_root(root: str) -> None:
    """Makes `root` the only file system there is, and read-only."""
    os.chdir(root)
    number = _SYS_PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(number, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "detach the old root")
    os.chdir("/")
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    _mount(None, "/", None, flags)
    _libc.sethostname(b"box", 3)


def enter_user_namespace() -> None:
    """Leaves real root behind: only an id map written from outside (`write_id_maps`) gives this process a user."""
    _check(_libc.unshare(CLONE_NEWUSER), "create a user namespace")


def write_id_maps(pid: int, outside: int, proc: int) -> None:
    """Maps `INSIDE_ID` in the namespace of `pid` to the one id `outside`; `proc` is a handle on the host's /proc."""
    for name in ("uid_map", "gid_map"):
        _write(f"{pid}/{name}", f"{INSIDE_ID} {outside} 1", dir_fd=proc)


def become_user() -> None:
    """Takes the mapped user and group, and no others."""
    os.setgroups([])
    os.setresgid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
    os.setresuid(INSIDE_ID, INSIDE_ID, INSIDE_ID)


def drop_capabilities() -> None:
    """No capability now, and none to be gained: not from files, not from a user id."""
    _libc.prctl(_PR_CAP_AMBIENT, 4, 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL
    for capability in range(64):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(header, data), "drop capabilities")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")


def hide_from_debuggers() -> None:
    """No core dump, no ptrace and no /proc/<pid>/mem for this process and what it forks."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "make the box non-dumpable")


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends; to be repeated after a change of user."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def limit_resources(*, processes: bool = True) -> None:
    """The limits that are the same for every program in the box; hard, so that none can raise them again.

    Without a namespace of its own a box cannot limit `processes`: those of the user outside would count too.
    """
    fixed = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: SCRATCH_BYTES,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_NPROC: 16,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 64,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    if not processes:
        del fixed[resource.RLIMIT_NPROC]
    for name, value in fixed.items():
        hard = resource.getrlimit(name)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (allowed, allowed))
