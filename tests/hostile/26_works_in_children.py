# tries: to spend the time of its children while it sleeps itself
# verdict: timeout
# verdict landlock: runtime_error
import os
import time


def add(a, b):
    for _ in range(3):
        if os.fork() == 0:
            while True:
                pass
    time.sleep(3600)
