# tries: to make namespaces in which it is root, and to mount
# verdict: passed
import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)
COLUMN = 0 if os.uname().machine == "x86_64" else 1


def refused(numbers, *arguments, by=(errno.EPERM, errno.ENOSYS)):
    number = numbers[COLUMN]
    if number is None:
        return
    result = libc.syscall(number, *map(ctypes.c_long, arguments))
    if result != -1 or ctypes.get_errno() not in by:
        raise RuntimeError(f"escaped: system call {number} gave {result}, errno {ctypes.get_errno()}")


CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
refused((272, 97), CLONE_NEWUSER)  # unshare
refused((272, 97), CLONE_NEWNS)
refused((56, 220), CLONE_NEWUSER | 17, 0, 0, 0, 0)  # clone
refused((435, 435), 0, 0)  # clone3
refused((308, 268), 0, 0)  # setns
refused((165, 40), 0, 0, 0, 0, 0)  # mount
refused((166, 39), 0, 0)  # umount2
refused((155, 41), 0, 0)  # pivot_root
refused((161, 51), 0)  # chroot
refused((428, 428), -100, 0, 1)  # open_tree
refused((429, 429), 0, 0, 0, 0, 0)  # move_mount
refused((430, 430), 0, 0)  # fsopen
refused((442, 442), -100, 0, 0, 0, 0)  # mount_setattr
refused((304, 265), 0, 0, 0)  # open_by_handle_at
refused((458, 458), 0, 0, 0, 0)  # listmount


def add(a, b):
    return a + b
