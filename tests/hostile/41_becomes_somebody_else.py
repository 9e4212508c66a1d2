# tries: to become root or to gain a capability
# verdict: passed
# verdict landlock: passed, runtime_error
import os

for change in (os.setuid, os.seteuid, os.setgid, os.setegid):
    try:
        change(0)
    except OSError:
        continue
    raise RuntimeError(f"escaped: {change.__name__}(0)")
try:
    os.setgroups([0])
except OSError:
    pass
else:
    raise RuntimeError("escaped: setgroups")
if 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid()):
    raise RuntimeError("escaped: it is root")


def add(a, b):
    return a + b
