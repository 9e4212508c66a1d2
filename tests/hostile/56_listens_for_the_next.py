# tries: to leave a process that waits for the next program and its files
# verdict: passed
# verdict landlock: runtime_error
import os
import signal
import time

if os.fork() == 0:
    os.setsid()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            pass
    while True:
        for folder in ("/tmp", "/dev/shm"):
            try:
                open(f"{folder}/poison", "w").close()
            except OSError:
                pass
        time.sleep(0.001)


def add(a, b):
    return a + b
