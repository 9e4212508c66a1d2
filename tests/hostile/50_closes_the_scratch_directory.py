# tries: to make the scratch directories useless for the next program
# verdict: passed
import os

for folder in ("/tmp", "/dev/shm"):
    for change in (lambda path: os.setxattr(path, "user.mark", b"1"), lambda path: os.chmod(path, 0)):
        try:
            change(folder)
        except OSError:
            pass


def add(a, b):
    return a + b
