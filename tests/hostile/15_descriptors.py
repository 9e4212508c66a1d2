# tries: to use up all descriptors
# verdict: passed
import os

opened = 0
try:
    while opened < 5000:
        os.open("/dev/null", os.O_RDONLY)
        opened += 1
except OSError:
    pass
if opened >= 5000:
    raise RuntimeError("escaped: 5000 descriptors")


def add(a, b):
    return a + b
