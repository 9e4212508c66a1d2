# tries: to let a forked child reply while the process that is watched leaves
# verdict: runtime_error, wrong_answer
import os

if os.fork() != 0:
    os._exit(0)


def add(a, b):
    return 99
