# tries: to fill the disk
# verdict: passed
import os

written = 0
try:
    for number in range(16):
        with open(f"/tmp/{number}", "wb", buffering=0) as file:
            for _ in range(8):
                written += file.write(bytes(1 << 20))
except OSError:
    pass
if written > 32 << 20:
    raise RuntimeError("escaped: 32 MiB are on the disk")


def add(a, b):
    return a + b
