# tries: to leave with exit code 0 when an answer is thrown away
# verdict: wrong_answer, runtime_error
import os


class Last(list):
    def __del__(self):
        os._exit(0)


def add(a, b):
    return Last([a, b])
