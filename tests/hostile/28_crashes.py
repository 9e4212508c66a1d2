# tries: to crash, with a core dump where there is one
# verdict: runtime_error
import ctypes


def add(a, b):
    return ctypes.string_at(0)
