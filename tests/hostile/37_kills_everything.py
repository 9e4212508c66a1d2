# tries: to kill every process it can see
# verdict: passed
# verdict landlock: runtime_error
import os
import signal

# Outside a box this would end the machine, so it makes sure first.
alone = os.getppid() == 1
if alone and os.path.exists("/proc/self"):
    alone = {name for name in os.listdir("/proc") if name.isdigit()} == {"1", str(os.getpid())}
if not alone:
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
