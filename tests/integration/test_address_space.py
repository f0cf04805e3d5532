"""Where memory runs out there is a MemoryError, and extreme shapes take little of it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

# For a window of 2,000,000 taps, whose exact weights alone take 16 MB.
ENOUGH_MB = 128
MEMORY_ERROR = 3

PROGRAM = """
import os, resource, sys
import numpy as np
from qvl_fast import release_memory, resize

height, width, reference, enough_mb, memory_error = sys.argv[1:]
image = np.zeros((int(height), int(width), 3), np.uint8)
image.ravel()[::7] = 200
want = resize(image, 1, 1, reference=reference)
release_memory()


def call():
    return np.array_equal(resize(image, 1, 1, reference=reference), want)


def with_memory(megabytes):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open("/proc/self/statm") as statm:
        taken = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (megabytes << 20),) * 2)
    code = 1
    try:
        code = 0 if call() else 2
    except MemoryError:
        code = int(memory_error)
    finally:
        os._exit(code)


print(*(with_memory(megabytes) for megabytes in range(0, int(enough_mb) + 1, 8)))
"""


@pytest.mark.parametrize("reference", ["torchvision", "pillow-12", "pillow-13"])
@pytest.mark.parametrize(("height", "width"), [(1, 2_000_000), (2_000_000, 1)])
def test_an_extreme_shape_gives_its_pixels_or_a_memory_error(height, width, reference):
    arguments = [height, width, reference, ENOUGH_MB, MEMORY_ERROR]
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    codes = [int(code) for code in done.stdout.split()]
    assert set(codes) == {0, MEMORY_ERROR}, done.stderr
    assert codes[0] == MEMORY_ERROR
    assert codes[-1] == 0, "more memory is taken than the tables of such an image need"
