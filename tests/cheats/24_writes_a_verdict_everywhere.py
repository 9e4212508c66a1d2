# tries: to write a verdict to every open descriptor
# verdict: output_limit, runtime_error
import os


def add(a, b):
    for descriptor in range(1024):
        try:
            os.write(descriptor, b'passed\n{"passed": true}\n')
        except OSError:
            pass
    return 99
