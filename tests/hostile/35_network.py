# tries: to reach anything by the network
# verdict: passed
# verdict bwrap: runtime_error
# verdict docker: runtime_error
import socket

for family, address in ((socket.AF_INET, ("127.0.0.1", 22)), (socket.AF_INET, ("192.0.2.1", 80))):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(family, kind).connect(address)
        except OSError:
            continue
        raise RuntimeError(f"escaped: {address}")
try:
    socket.socket(socket.AF_INET6).connect(("::1", 22))
except OSError:
    pass
else:
    raise RuntimeError("escaped: ::1")


def add(a, b):
    return a + b
