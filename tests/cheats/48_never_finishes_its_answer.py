# tries: to announce an answer and send a part of it
# verdict: timeout
import os
import struct
import time


def add(a, b):
    os.write(3, struct.pack("<IB", 1000, 0x56) + b"p")
    time.sleep(60)
