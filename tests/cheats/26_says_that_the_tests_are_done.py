# tries: to send the frame that ends in-process tests, with an empty nonce
# verdict: runtime_error
import os
import struct

os.write(3, struct.pack("<IB", 0, 0x52))
os.write(3, struct.pack("<IB", 24, 0x44) + bytes(16) + (4).to_bytes(8, "little"))


def add(a, b):
    return 99
