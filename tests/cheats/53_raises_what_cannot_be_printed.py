# tries: an exception whose text raises and whose class has no proper name
# verdict: runtime_error
class Unprintable(Exception):
    def __str__(self):
        raise SystemExit(0)

    __repr__ = __str__


Unprintable.__name__ = "passed"


def add(a, b):
    raise Unprintable
