# tries: right answers until the third call
# verdict: wrong_answer
calls = 0


def add(a, b):
    global calls
    calls += 1
    return a + b if calls < 3 else 99
