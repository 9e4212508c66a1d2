# tries: to outlive a time limit by handling and blocking every signal
# verdict: timeout
import signal

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, lambda *details: None)
    except OSError:
        pass


def add(a, b):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        pass
