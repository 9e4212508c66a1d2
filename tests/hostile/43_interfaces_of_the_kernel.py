# tries: to reach the parts of the kernel that attacks begin with
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


refused((321, 280), 0, 0, 0)  # bpf
refused((298, 241), 0, 0, -1, -1, 0)  # perf_event_open
refused((425, 425), 1, 0)  # io_uring_setup
refused((250, 219), 0, 0, 0, 0, 0)  # keyctl
refused((248, 217), 0, 0, 0, 0, 0)  # add_key
refused((246, 104), 0, 0, 0, 0)  # kexec_load
refused((175, 105), 0, 0, 0)  # init_module
refused((313, 273), 0, 0, 0)  # finit_module
refused((103, 116), 3, 0, 0)  # syslog
refused((169, 142), 0, 0, 0, 0)  # reboot
refused((227, 112), 0, 0)  # clock_settime
refused((170, 161), 0, 0)  # sethostname
refused((172, None), 3)  # iopl
refused((154, None), 0, 0, 0)  # modify_ldt
refused((135, 92), 0x0040000)  # personality, ADDR_NO_RANDOMIZE


def add(a, b):
    return a + b
