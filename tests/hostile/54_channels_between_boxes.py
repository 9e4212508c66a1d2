# tries: to signal to other boxes by locks on shared files and by System V objects
# verdict: passed
import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)
COLUMN = 0 if os.uname().machine == "x86_64" else 1


def refused(numbers, *arguments, by=(errno.EPERM, errno.ENOSYS)):
    number = numbers[COLUMN]
    if number is None:
        return
    result = libc.syscall(number, *map(ctypes.c_long, arguments))
    if result != -1 or ctypes.get_errno() not in by:
        raise RuntimeError(f"escaped: system call {number} gave {result}, errno {ctypes.get_errno()}")


import fcntl

refused((29, 194), 1234, 4096, 0o1600)  # shmget
refused((64, 190), 1234, 1, 0o1600)  # semget
refused((68, 186), 1234, 0o1600)  # msgget
refused((240, 180), 0, 0, 0, 0)  # mq_open
with open(os.__file__, "rb") as shared:
    for change in (
        lambda: fcntl.flock(shared, fcntl.LOCK_SH),
        lambda: fcntl.lockf(shared, fcntl.LOCK_SH),
        lambda: fcntl.fcntl(shared, fcntl.F_SETLEASE, fcntl.F_RDLCK),
        lambda: fcntl.fcntl(shared, fcntl.F_NOTIFY, fcntl.DN_ACCESS),
    ):
        try:
            change()
        except PermissionError:
            continue
        raise RuntimeError("escaped: a lock on a shared file")


def add(a, b):
    return a + b
