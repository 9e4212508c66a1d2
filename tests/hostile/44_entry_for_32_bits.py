# tries: to call the kernel by its 32-bit entry, past a filter of 64-bit numbers
# verdict: runtime_error
import ctypes
import mmap
import os

# mov eax, 20 (getpid); int 0x80; ret
CODE = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"


def add(a, b):
    if os.uname().machine != "x86_64":
        raise RuntimeError("there is no such entry here")
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    if ctypes.CFUNCTYPE(ctypes.c_long)(address)() > 0:
        return a + b
    raise RuntimeError("the kernel has no such entry")
