# tries: to leave a mark on a device that all boxes and the host share
# verdict: passed
# verdict docker: runtime_error
import os

for name in ("null", "zero", "random", "urandom"):
    for change in (os.utime, lambda path: os.chmod(path, 0o666), os.unlink):
        try:
            change(f"/dev/{name}")
        except OSError:
            continue
        raise RuntimeError(f"escaped: /dev/{name} is changed")


def add(a, b):
    return a + b
