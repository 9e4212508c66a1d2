# tries: to leave from a profiling hook when an answer is returned
# verdict: runtime_error
import os
import sys


def leave(frame, event, argument):
    if event == "return" and frame.f_code.co_name == "add":
        os._exit(0)


def add(a, b):
    sys.setprofile(leave)
    return answer()


def answer():
    return 99
