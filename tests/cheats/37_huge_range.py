# tries: an answer of a few bytes that is very long as a list
# verdict: wrong_answer
def add(a, b):
    return range(10**15)
