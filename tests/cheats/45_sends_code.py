# tries: to send a code object where an answer is due
# verdict: runtime_error
import marshal
import os
import struct


def add(a, b):
    payload = b"p" + marshal.dumps(add.__code__)
    os.write(3, struct.pack("<IB", len(payload), 0x56) + payload)
