# tries: to make one file larger than any it may make
# verdict: passed
# verdict landlock: runtime_error
import os

descriptor = os.open("/tmp/large", os.O_CREAT | os.O_WRONLY)
try:
    os.posix_fallocate(descriptor, 0, 64 << 20)
except OSError:
    pass
else:
    raise RuntimeError("escaped: a file of 64 MiB")


def add(a, b):
    return a + b
