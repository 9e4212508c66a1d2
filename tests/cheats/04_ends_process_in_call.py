# tries: to end the process with exit code 0 while a call is open
# verdict: runtime_error
import os


def add(a, b):
    os._exit(0)
