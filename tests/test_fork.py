"""A process forked while threads compute can compute itself."""

import os
import subprocess
import sys
from pathlib import Path

import minigrad

PROGRAM = """
import os, signal, threading, warnings
import numpy as np
import minigrad as mg
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from Python 3.12 on

step = mg.jit(mg.value_and_grad(lambda w, x: np.sum(np.tanh(x @ w) ** 2)))
w, x = np.ones((100, 50)), np.ones((2000, 100))
expected = step(w, x)[0]
room = mg.tensor(np.zeros(50), requires_grad=True)

def compute():
    while True:
        step(w, x)

def write():
    with mg.no_grad():
        while True:
            room[0] = 1.0

for target in (compute, write):
    threading.Thread(target=target, daemon=True).start()
children = []
for _ in range(10):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        with mg.no_grad():
            room[1] = 1.0
        os._exit(0 if step(w, x)[0] == expected else 1)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10
os._exit(0)
"""


def test_a_child_forked_while_a_thread_runs_a_compiled_function_does_not_hang():
    environment = os.environ | {
        "PYTHONPATH": str(Path(minigrad.__file__).parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True)
