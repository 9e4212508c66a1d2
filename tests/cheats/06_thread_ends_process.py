# tries: to end the process with exit code 0 from another thread in the middle of a call
# verdict: runtime_error
import os
import threading
import time


def add(a, b):
    threading.Thread(target=os._exit, args=(0,), daemon=True).start()
    time.sleep(60)
