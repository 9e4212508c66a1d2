# tries: to call the kernel by the numbers of its x32 entry
# verdict: runtime_error
import ctypes
import os


def add(a, b):
    if os.uname().machine != "x86_64":
        raise RuntimeError("there is no such entry here")
    if ctypes.CDLL(None).syscall(0x40000000 + 39) > 0:
        return a + b
    raise RuntimeError("the kernel has no such entry")
