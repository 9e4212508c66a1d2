# tries: to start threads without end
# verdict: runtime_error
import threading

wait = threading.Event()


def add(a, b):
    for _ in range(1000):
        threading.Thread(target=wait.wait, daemon=True).start()
    return a + b
