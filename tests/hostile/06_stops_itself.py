# tries: to stop where no handler and no timer of its own can wake it
# verdict: timeout
# verdict landlock: runtime_error
import os
import signal


def add(a, b):
    os.kill(os.getpid(), signal.SIGSTOP)
