"""``import minigrad`` imports NumPy, and nothing else that is heavy."""

import subprocess
import sys


def test_the_import_is_light():
    code = "import sys, numpy; before = set(sys.modules); import minigrad; print(*set(sys.modules) - before)"
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    new = set(end.stdout.split())
    heavy = {
        "tqdm",
        "matplotlib",
        "hypothesis",
        "pooch",
        "scipy",
        "email",
        "http",
        "urllib.request",
        "xml",
        "asyncio",
        "tempfile",
        "zipfile",
        "hashlib",
        "random",
    }
    assert not new & heavy
