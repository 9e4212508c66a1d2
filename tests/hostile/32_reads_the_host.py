# tries: to read what belongs to the host and its users
# verdict: passed
# verdict docker: runtime_error
# verdict landlock: runtime_error
import os

for path in ("/etc/passwd", "/etc/shadow", os.path.join("/root", ".ssh"), os.path.join("/root", ".bashrc"), "/home", "/var", "/run", "/sys", "/boot"):
    if os.path.exists(path):
        raise RuntimeError(f"escaped: {path}")
for path in ("/proc/self", "/proc/1/environ", "/proc/1/mem", "/proc/self/fd", "/proc/version", "/proc/mounts"):
    if os.path.exists(path):
        raise RuntimeError(f"escaped: {path}")


def add(a, b):
    return a + b
