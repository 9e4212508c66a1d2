# tries: to announce an answer of 4 GiB
# verdict: output_limit
import os
import struct
import time


def add(a, b):
    os.write(3, struct.pack("<IB", 2**32 - 1, 0x56))
    time.sleep(60)
