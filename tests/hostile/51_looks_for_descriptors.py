# tries: to find a descriptor that was left open
# verdict: passed
import os

for descriptor in range(4, 4096):
    try:
        os.fstat(descriptor)
    except OSError:
        continue
    raise RuntimeError(f"escaped: descriptor {descriptor}")
for descriptor in range(3):
    if not os.path.samestat(os.fstat(descriptor), os.stat("/dev/null")):
        raise RuntimeError(f"escaped: descriptor {descriptor} is not the null device")


def add(a, b):
    return a + b
