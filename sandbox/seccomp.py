"""A system call filter, assembled here because the one maintained binding needs a shared library that is often missing.

The filter denies what no benchmark program needs and kernels have been attacked through. It is one layer of several:
namespaces, dropped capabilities and read-only mounts hold without it. Numbers are those of the Linux UAPI headers
`asm/unistd_64.h` (x86_64) and `asm-generic/unistd.h` (aarch64).
"""

from __future__ import annotations

import ctypes
import platform
import struct

# name: (x86_64, aarch64); None where the architecture has no such call
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # the file system tree and other namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "open_tree_attr": (467, 467),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "fanotify_init": (300, 262),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # the kernel itself
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "syslog": (103, 116),
    "reboot": (169, 142),
    "acct": (163, 89),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "personality": (135, 92),
    "vhangup": (153, 58),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "memfd_secret": (447, 447),
    # clocks and scheduling, which would distort the measured time of other samples
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "settimeofday": (164, 170),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    # memory that no limit counts
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "mlock": (149, 228),
    "mlock2": (325, 284),
    "mlockall": (151, 230),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # locks on shared read-only files are a channel between boxes
    "flock": (73, 32),
}

_CLONE, _CLONE3, _IOCTL, _FCNTL = (56, 220), (435, 435), (16, 29), (72, 25)
_SOCKET, _SOCKETPAIR, _PRLIMIT64 = (41, 198), (53, 199), (302, 261)
_NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6: harmless in a network namespace without interfaces
_IOCTLS = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: push input into a terminal
_FCNTLS = (6, 7, 37, 38, 1024, 1026)  # record locks, leases, directory notification

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH, _ARG0, _ARG1, _ARG2 = (
    0,
    4,
    16,
    24,
    32,
)  # offsets in struct seccomp_data; low words (little endian)


def assemble(machine: str | None = None) -> bytes:
    """The filter as an array of `struct sock_filter` for `machine` (default: this one).

    Raises:
        NotImplementedError: the architecture has no table here.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise NotImplementedError(f"no system call table for {machine}; known: {', '.join(_ARCHITECTURES)}")
    column, audit = _ARCHITECTURES[machine]
    program: list[tuple[int, int, int, int]] = []

    def emit(code: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        program.append((code, if_true, if_false, value))

    emit(_LOAD, _ARCH)
    emit(_EQUAL, audit, 1, 0)
    emit(_RETURN, _KILL)  # the 32-bit entry: other numbers, other bugs
    emit(_LOAD, _NR)
    if machine == "x86_64":
        emit(_AT_LEAST, 0x40000000, 0, 1)
        emit(_RETURN, _KILL)  # the x32 entry
    for numbers in _DENIED.values():
        number = numbers[column]
        if number is not None:
            emit(_EQUAL, number, 0, 1)
            emit(_RETURN, _ERRNO | _EPERM)
    emit(_EQUAL, _CLONE3[column], 0, 1)  # its flags lie in memory that a filter cannot read; the C library falls back
    emit(_RETURN, _ERRNO | _ENOSYS)
    emit(_EQUAL, _CLONE[column], 0, 4)
    emit(_LOAD, _ARG0)
    emit(_ANY_BIT, _NAMESPACE_FLAGS, 0, 1)
    emit(_RETURN, _ERRNO | _EPERM)
    emit(_RETURN, _ALLOW)
    # prlimit64: 0 is the caller itself; the limits of pid 1 are inherited by every later program.
    for call, values in ((_SOCKET, _FAMILIES), (_SOCKETPAIR, _FAMILIES), (_PRLIMIT64, (0,))):
        emit(_EQUAL, call[column], 0, len(values) + 3)
        emit(_LOAD, _ARG0)
        for position, value in enumerate(values):
            emit(_EQUAL, value, len(values) - position, 0)
        emit(_RETURN, _ERRNO | _EPERM)
        emit(_RETURN, _ALLOW)
    for call, commands in ((_IOCTL, _IOCTLS), (_FCNTL, _FCNTLS)):
        emit(_EQUAL, call[column], 0, len(commands) + 3)
        emit(_LOAD, _ARG1)
        for position, command in enumerate(commands):
            emit(_EQUAL, command, len(commands) - position, 0)
        emit(_RETURN, _ALLOW)
        emit(_RETURN, _ERRNO | _EPERM)
    emit(_RETURN, _ALLOW)
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def assemble_lonely(machine: str | None = None, *, signals: bool = False) -> bytes:
    """A second filter, for a program behind Landlock alone: no processes, no sockets, no signals, no marks on files.

    What a process cannot start it cannot leave behind. Threads are allowed, and so is `tgkill` between them where
    something else keeps `signals` in. Sockets are refused altogether, because without a network namespace even AF_UNIX
    leads to the services of the machine; of pairs only streams are allowed, since a datagram can go to any address.
    Landlock does not watch modes, owners, times and attributes of files, so they cannot be changed at all, nor, before
    its third version, files that are cut to length zero as they are opened. Nor can a program call off that it ends
    with the process that started it.

    Raises:
        NotImplementedError: the architecture has no table here.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise NotImplementedError(f"no system call table for {machine}; known: {', '.join(_ARCHITECTURES)}")
    column, _ = _ARCHITECTURES[machine]
    program = [(_LOAD, 0, 0, _NR)]
    denied = _LONELY if signals else {**_LONELY, "tgkill": (234, 131)}
    for numbers in denied.values():
        number = numbers[column]
        if number is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    program += [(_EQUAL, 0, 1, _OPENAT2), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]  # its flags lie in memory, as clone3's do
    for call, argument in ((_OPEN[column], _ARG1), (_OPENAT[column], _ARG2)):
        if call is not None:
            program += _no_cut_without_write(call, argument)
    for numbers, argument, values, inside, outside in (
        (_SOCKETPAIR, _ARG1, _STREAMS, _ALLOW, _ERRNO | _EPERM),
        (_IOCTL, _ARG1, _HARMLESS_IOCTLS, _ALLOW, _ERRNO | _EPERM),
        (_FCNTL, _ARG1, _SIGNAL_FCNTLS, _ERRNO | _EPERM, _ALLOW),
        (_PRCTL, _ARG0, (_PR_SET_PDEATHSIG,), _ERRNO | _EPERM, _ALLOW),
    ):
        program += [(_EQUAL, 0, len(values) + 3, numbers[column]), (_LOAD, 0, 0, argument)]
        program += [(_EQUAL, len(values) - position, 0, value) for position, value in enumerate(values)]
        program += [(_RETURN, 0, 0, outside), (_RETURN, 0, 0, inside)]
    program += [
        (_EQUAL, 0, 3, _CLONE[column]),
        (_LOAD, 0, 0, _ARG0),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _no_cut_without_write(call: int, argument: int) -> list[tuple[int, int, int, int]]:
    """Refuses O_TRUNC with an access mode other than write or read-write; 3, for one, opens for neither."""
    return [
        (_EQUAL, 0, 7, call),
        (_LOAD, 0, 0, argument),
        (_ANY_BIT, 0, 4, 0o1000),  # O_TRUNC
        (_ANY_BIT, 0, 1, 1),
        (_ANY_BIT, 1, 2, 2),
        (_ANY_BIT, 1, 0, 2),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


_CLONE_THREAD = 0x00010000
_OPEN: tuple[int | None, ...] = (2, None)
_OPENAT, _OPENAT2 = (257, 56), 437
_PRCTL, _PR_SET_PDEATHSIG = (157, 167), 1
_STREAMS = (0x00001, 0x80001, 0x00801, 0x80801)  # SOCK_STREAM, with SOCK_CLOEXEC and SOCK_NONBLOCK or without
_HARMLESS_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIO[N]CLEX
_SIGNAL_FCNTLS = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to anybody when a descriptor is ready
_LONELY: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    # what Landlock lets a process do to files
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "truncate": (76, 45),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(code: bytes) -> None:
    """Puts an assembled filter on this process and all it will start; needs no_new_privs.

    Raises:
        OSError: the kernel refuses it.
    """
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, 2, ctypes.byref(program), 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        error = ctypes.get_errno()
        raise OSError(error, "the kernel refuses the system call filter")
