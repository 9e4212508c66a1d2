# tries: to change the interpreter for the programs after it
# verdict: passed
# verdict landlock: runtime_error
import builtins
import decimal
import gc
import locale
import math
import os
import random
import sys
import warnings

math.pi = 4
random.random = lambda: 0.0
random.seed(1234)
builtins.sum = lambda values: 0
builtins.leftover = True
sys.path.insert(0, "/tmp")
sys.modules["leftover"] = math
sys.meta_path.clear()
sys.setrecursionlimit(100)
decimal.getcontext().prec = 2
warnings.simplefilter("error")
gc.disable()
os.environ["LEFTOVER"] = "1"
os.umask(0)
os.mkdir("/tmp/elsewhere")
os.chdir("/tmp/elsewhere")
os.rmdir("/tmp/elsewhere")


def add(a, b):
    return a + b
