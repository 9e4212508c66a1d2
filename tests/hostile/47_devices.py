# tries: to make or open devices, and to type into a terminal
# verdict: passed
# verdict docker: runtime_error
# verdict landlock: runtime_error
import fcntl
import os
import stat

for name in ("/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/tty", "/dev/loop-control", "/dev/fuse", "/dev/ptmx"):
    if os.path.exists(name):
        raise RuntimeError(f"escaped: {name}")
try:
    os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
    os.open("/tmp/disk", os.O_RDONLY)
except PermissionError:
    pass
else:
    raise RuntimeError("escaped: a device")
for command in (0x5412, 0x541C):  # TIOCSTI, TIOCLINUX
    try:
        fcntl.ioctl(0, command, b"x")
    except PermissionError:
        continue
    raise RuntimeError("escaped: a terminal")


def add(a, b):
    return a + b
