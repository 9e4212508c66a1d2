# tries: to leave a process behind that has a session of its own
# verdict: passed
# verdict landlock: runtime_error
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(3)
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()


def add(a, b):
    return a + b
