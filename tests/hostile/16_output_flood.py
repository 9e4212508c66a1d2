# tries: to block or fill whoever reads its output
# verdict: passed
import os

for _ in range(50):
    os.write(1, bytes(1 << 20))
    os.write(2, bytes(1 << 20))


def add(a, b):
    return a + b
