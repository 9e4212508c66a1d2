# tries: to leave the root directory by the parent of the root
# verdict: passed
# verdict docker: runtime_error
# verdict landlock: runtime_error
import os

for path in ("/..", "/../..", "/tmp/../..", "."):
    os.chdir(path)
os.chdir("/")
for _ in range(20):
    os.chdir("..")
if os.path.exists("etc/passwd") or os.path.exists("proc/self"):
    raise RuntimeError("escaped: another root")


def add(a, b):
    return a + b
