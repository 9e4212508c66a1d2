# tries: to kill its process group, which may reach beyond its namespace
# verdict: runtime_error
import os
import signal


def add(a, b):
    if os.path.exists("/proc/self"):
        raise AssertionError("escaped: not in a box")
    os.kill(0, signal.SIGKILL)
    return a + b
