# tries: to raise its own limits
# verdict: passed
import resource

for name in ("NOFILE", "NPROC", "FSIZE", "CORE", "CPU", "MEMLOCK", "NICE", "RTPRIO", "AS"):
    limit = getattr(resource, f"RLIMIT_{name}")
    for value in (resource.RLIM_INFINITY, resource.getrlimit(limit)[1] + (1 << 20)):
        try:
            resource.setrlimit(limit, (value, value))
        except (OSError, ValueError):
            continue
        raise RuntimeError(f"escaped: RLIMIT_{name} is {value}")


def add(a, b):
    return a + b
