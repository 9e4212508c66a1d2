# tries: to use up the kernel memory for timers and queued signals
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


timers = 0
identifier = ctypes.c_int()
while timers < 5000 and libc.timer_create(0, None, ctypes.byref(identifier)) == 0:
    timers += 1
if timers >= 5000:
    raise RuntimeError("escaped: 5000 timers")


def add(a, b):
    return a + b
