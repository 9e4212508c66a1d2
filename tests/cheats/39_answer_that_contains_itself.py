# tries: an answer without an end to its nesting
# verdict: wrong_answer
def add(a, b):
    answer = []
    answer.append(answer)
    return answer
