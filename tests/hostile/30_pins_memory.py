# tries: to pin memory and to stall page faults
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


refused((149, 228), 0, 4096)  # mlock
refused((151, 230), 3)  # mlockall
refused((325, 284), 0, 4096, 0)  # mlock2
refused((323, 282), 0)  # userfaultfd
refused((237, 235), 0, 0, 0, 0, 0, 0)  # mbind
refused((447, 447), 0)  # memfd_secret


def add(a, b):
    return a + b
