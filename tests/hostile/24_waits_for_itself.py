# tries: to wait for a lock that it holds
# verdict: timeout
import threading


def add(a, b):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
