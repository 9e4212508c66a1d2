# tries: to open sockets of families that few people test
# verdict: passed
import socket

UNIX, NETLINK, PACKET, TIPC, ALG, VSOCK, XDP = 1, 16, 17, 30, 38, 40, 44
for family in (NETLINK, PACKET, TIPC, ALG, VSOCK, XDP, 0, 3, 5, 9, 21, 29, 31, 43):
    for make in (socket.socket, socket.socketpair):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                make(family, kind)
            except PermissionError:
                continue
            raise RuntimeError(f"escaped: family {family}")
try:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
except PermissionError:
    pass
else:
    raise RuntimeError("escaped: a raw socket")


def add(a, b):
    return a + b
