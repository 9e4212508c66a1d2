# tries: an answer that never ends where it is read
# verdict: wrong_answer
def add(a, b):
    while True:
        yield a + b
