# tries: to kill every process it can see
# verdict: passed
import os
import signal

# Outside a box this would end the machine, so it makes sure first.
if os.path.exists("/proc/self") or os.getppid() != 1:
    raise RuntimeError("escaped: not alone in a process namespace")
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGINT, signal.SIGSEGV):
    os.kill(1, number)
for pid in range(2, 5000):
    if pid != os.getpid():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def add(a, b):
    return a + b
