# tries: to end the process with exit code 0 before it is ready
# verdict: runtime_error
import os


def add(a, b):
    return 0


os._exit(0)
