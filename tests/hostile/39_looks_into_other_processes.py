# tries: to read and steer the process that started it
# verdict: passed
# verdict landlock: runtime_error
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


PARENT = os.getppid()
refused((101, 117), 16, PARENT, 0, 0)  # ptrace, PTRACE_ATTACH
refused((101, 117), 0x4206, PARENT, 0, 0)  # ptrace, PTRACE_SEIZE
refused((310, 270), PARENT, 0, 0, 0, 0, 0)  # process_vm_readv
refused((311, 271), PARENT, 0, 0, 0, 0, 0)  # process_vm_writev
refused((438, 438), os.pidfd_open(PARENT), 0, 0)  # pidfd_getfd
refused((312, 272), PARENT, os.getpid(), 0, 0, 0)  # kcmp
refused((440, 440), os.pidfd_open(PARENT), 0, 0, 0, 0)  # process_madvise


def add(a, b):
    return a + b
