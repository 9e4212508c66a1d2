"""A second reading of the system call filters: an interpreter for what they consist of."""

from __future__ import annotations

import struct

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = sorted(AUDIT)


class Filter:
    """Classic BPF as the kernel runs it, for the few instructions that a system call filter uses."""

    def __init__(self, machine: str, code: bytes) -> None:
        self.machine = machine
        assert len(code) % 8 == 0
        self.program = [struct.unpack_from("<HBBI", code, at) for at in range(0, len(code), 8)]

    def __call__(self, number: int, *arguments: int, audit: int | None = None) -> int:
        """What the filter returns for one call."""
        padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        data = struct.pack("<IIQ6Q", number, AUDIT[self.machine] if audit is None else audit, 0, *padded)
        accumulator = at = 0
        while True:
            code, if_true, if_false, value = self.program[at]
            at += 1
            match code:
                case 0x20:  # BPF_LD | BPF_W | BPF_ABS
                    (accumulator,) = struct.unpack_from("<I", data, value)
                case 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
                    at += if_true if accumulator == value else if_false
                case 0x35:  # BPF_JMP | BPF_JGE | BPF_K
                    at += if_true if accumulator >= value else if_false
                case 0x45:  # BPF_JMP | BPF_JSET | BPF_K
                    at += if_true if accumulator & value else if_false
                case 0x06:  # BPF_RET | BPF_K
                    return value
                case _:
                    raise AssertionError(f"an instruction that this filter has no use for: {code:#x}")
