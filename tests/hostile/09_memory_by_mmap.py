# tries: to map memory beyond the limit, past the allocator
# verdict: passed
import mmap

try:
    mmap.mmap(-1, 4 << 30)
except (OSError, MemoryError):
    pass
else:
    raise RuntimeError("escaped: 4 GiB are mapped")


def add(a, b):
    return a + b
