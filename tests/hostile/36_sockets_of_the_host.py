# tries: to reach a service by a socket in the file system or an abstract name
# verdict: passed
import socket

for path in ("/var/run/docker.sock", "/run/dbus/system_bus_socket", "/tmp/.X11-unix/X0", "\0/tmp/.X11-unix/X0"):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
    except OSError:
        continue
    raise RuntimeError(f"escaped: {path!r}")


def add(a, b):
    return a + b
