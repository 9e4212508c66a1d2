# tries: to take more of the processor than is its share
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


refused((141, 140), 0, 0, -5)  # setpriority
refused((144, 119), 0, 0, 0)  # sched_setscheduler
refused((142, 118), 0, 0)  # sched_setparam
refused((314, 274), 0, 0, 0)  # sched_setattr
refused((203, 122), 0, 0, 0)  # sched_setaffinity
refused((251, 30), 1, 0, 0)  # ioprio_set
try:
    os.nice(-1)
except OSError:
    pass
else:
    raise RuntimeError("escaped: its priority is higher")


def add(a, b):
    return a + b
