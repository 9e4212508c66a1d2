# tries: to lower limits of the first process, which later programs inherit
# verdict: passed
import os
import resource

for name in ("DATA", "STACK", "NOFILE", "NPROC", "CPU", "AS"):
    for limits in ((), ((1 << 20, 1 << 20),)):
        try:
            resource.prlimit(os.getppid(), getattr(resource, f"RLIMIT_{name}"), *limits)
        except PermissionError:
            continue
        raise RuntimeError(f"escaped: RLIMIT_{name} of the first process")
try:
    os.sched_setaffinity(os.getppid(), {min(os.sched_getaffinity(0))})
except PermissionError:
    pass
else:
    raise RuntimeError("escaped: the processors of the first process")


def add(a, b):
    return a + b
