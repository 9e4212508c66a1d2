# tries: to outlive a time limit by catching every exception
# verdict: timeout
def add(a, b):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
