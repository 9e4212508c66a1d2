# tries: to leave links, pipes and sockets that somebody outside follows
# verdict: passed
# verdict landlock: runtime_error
import os
import socket

os.symlink("/etc/passwd", "/tmp/result.json")
os.symlink("/", "/tmp/root")
os.symlink("loop", "/tmp/loop")
os.mkfifo("/tmp/pipe")
os.mkdir("/tmp/closed")
open("/tmp/closed/file", "w").close()
os.chmod("/tmp/closed", 0)
socket.socket(socket.AF_UNIX).bind("/tmp/socket")
open("/dev/shm/\udcff\n", "w").close()


def add(a, b):
    return a + b
