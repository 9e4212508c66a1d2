# tries: an int whose __eq__ is always true
# verdict: wrong_answer
class Liar(int):
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def add(a, b):
    return Liar(99)
