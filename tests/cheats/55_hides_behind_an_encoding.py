# tries: source that says something else in the encoding it names
# -*- coding: utf-7 -*-
# verdict: wrong_answer
def add(a, b):
    # +AAo-    return 99
    return sum((a, b))
