# tries: an answer nested so deep that reading it overflows the stack
# verdict: wrong_answer
def add(a, b):
    answer = []
    for _ in range(100_000):
        answer = [answer]
    return answer
