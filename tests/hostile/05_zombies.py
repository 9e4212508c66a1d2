# tries: to fill the table of processes with children nobody waits for
# verdict: passed
# verdict landlock: runtime_error
import os

children = 0
try:
    while children < 200:
        if os.fork() == 0:
            os._exit(0)
        children += 1
except BlockingIOError:
    pass
if children >= 200:
    raise RuntimeError("escaped: 200 processes at once")


def add(a, b):
    return a + b
