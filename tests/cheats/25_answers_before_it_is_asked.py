# tries: to send well-formed answers early and leave, so that nothing it says is checked
# verdict: wrong_answer
import marshal
import os
import struct


def frame(kind, payload=b""):
    return struct.pack("<IB", len(payload), kind) + payload


def add(a, b):
    return 99


os.write(3, frame(0x52) + frame(0x56, b"p" + marshal.dumps(99, 2)) * 4)
os._exit(0)
