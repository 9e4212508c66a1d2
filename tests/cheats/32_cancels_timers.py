# tries: to cancel the timers of a grader that shares its process
# verdict: timeout
import signal


def add(a, b):
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    signal.alarm(0)
    while True:
        pass
