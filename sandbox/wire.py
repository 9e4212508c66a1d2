"""What the slot, the zygote and a program say to one another.

Two sockets. The *control* socket joins slot and zygote for the life of the box; both ends are ours. The *job* socket
joins the slot and one program's process and is made anew for each program; its far end is hostile.

Job socket, both ways: 4-byte little-endian length, one byte of kind, payload.
Control socket: SOCK_SEQPACKET, one struct per message.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct("<IB")
"""Length of the payload, kind of frame."""

# slot -> program
JOB = 0x4A
"""The first frame: marshal of (limits, task, program, details). The limits are (processor seconds in whole numbers,
address space in bytes), or None; the program is (source or what `COMPILE` made of it, whether it is the latter). The
details by task:
`CALLS`: (calls, whether to wait for more of them, whether to say what calls made of their arguments, whether answers
may wait for one another). A call is (name, payload of (arguments, keyword arguments)); the name may be `Class.method`,
and one instance of the class then serves all calls;
`TESTS`: (source, whether it is compiled already, nonce) of tests to run beside the program;
`COMPILE`: nothing; `SCRIPT`: the bytes of its standard input."""
CALLS, TESTS, COMPILE, SCRIPT = 0, 1, 2, 3
MORE = 0x43
"""marshal of a list of calls, to a program that waits for more of them."""

# program -> slot; payloads of the codec
READY = 0x52
"""The program's own top level has run."""
VALUE = 0x56
"""What a call returned; for `COMPILE`, marshal of the code as bytes."""
ARGUMENTS = 0x41
"""Sent before VALUE where the call changed its arguments: what they are now."""
RAISED = 0x45
"""(where, type name, builtin base, message, line): `where` is `compile`, `import`, `call` or `tests`."""
UNSUPPORTED = 0x55
"""A call returned something that is not data: its type, as text."""
DONE = 0x44
"""In-process tests ended: the nonce, and how many assertions held as 8 bytes, little-endian."""

OUT_OF_MEMORY = 251
"""Exit code of a `SCRIPT` that raised MemoryError. All that a script sends is its standard output."""

# slot -> zygote
NEXT = b"N"
"""The first message: with the job socket's far end for the first program."""
RUN = struct.Struct("<cdd")
"""b"R", processor seconds, wall seconds for the program that waits; with the far end for the next one."""
KILL = b"K"

# zygote -> slot
BORN = b"B"
"""The box is ready; what follows is marshal of a dict that describes its layers."""
FAILED = b"F"
"""The box could not be set up; what follows is the reason."""
TICK = struct.Struct("<cdd")
"""b"T", start of the interval (CLOCK_MONOTONIC), seconds in it in which the program was idle."""
EXIT = struct.Struct("<cciddq?")
"""b"X", reason, wait status, cpu seconds, wall seconds, peak memory in bytes, whether the box is still clean."""

REASON_OWN, REASON_KILLED, REASON_CPU, REASON_WALL = b"o", b"k", b"c", b"w"
