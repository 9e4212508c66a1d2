# tries: to make the grader wait for data that it can never read (MSG_OOB)
# verdict: timeout, output_limit, runtime_error
import socket
import time


def add(a, b):
    socket.socket(fileno=3).send(b"x", socket.MSG_OOB)
    time.sleep(60)
