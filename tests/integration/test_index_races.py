"""Index functions whose arguments another thread changes: a result or an error, never the end."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits address space")

# A thread flips one element between two values, as often as it gets to, while calls run.
PROGRAM = """
import resource, sys, threading, time
import numpy as np
import qvl_fast

which, seconds = sys.argv[1], 4.0
count = 3_000_000  # so long that a call is interrupted even where threads share one processor

if which == "counts":
    flipped, values = np.ones(count, np.int64), (1, 2**31 - 1)
    ids = np.full(count, 9)
    call = lambda: qvl_fast.expand_placeholders(ids, 9, flipped)
elif which == "input_ids":
    flipped, values = np.zeros(count, np.int64), (0, 9)
    flipped[0] = 9
    counts = np.ones(1, np.int64)
    call = lambda: qvl_fast.expand_placeholders(flipped, 9, counts)
elif which == "mm_token_type_ids":
    flipped, values = np.zeros((1, count), np.int64), (0, 2)
    call = lambda: qvl_fast.mrope_position_ids(flipped, config="qwen2-vl")
elif which == "lengths":
    flipped, values = np.ones(count, np.int64), (1, 2**31 - 1)
    call = lambda: qvl_fast.pack(flipped, 1000, strategy="best")
elif which == "grid_thw":
    flipped, values = np.full((count // 30, 3), 2), (2, 2**62)
    call = lambda: qvl_fast.position_ids(flipped)

done = False


def flip():
    element = flipped.reshape(-1)
    while not done:
        element[-1] = values[0]
        element[-1] = values[1]


sys.setswitchinterval(1e-5)
call()  # imports what it needs
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # rather abort than swamp the machine
flipper = threading.Thread(target=flip)
flipper.start()
end = time.monotonic() + seconds
outcomes = set()
while time.monotonic() < end:
    try:
        call()
        outcomes.add("result")
    except (ValueError, MemoryError) as error:
        outcomes.add(type(error).__name__)
done = True
flipper.join()
print(*sorted(outcomes))
"""


@pytest.mark.parametrize(
    "which", ["counts", "input_ids", "mm_token_type_ids", "lengths", "grid_thw"]
)
def test_what_changes_meanwhile_is_seen_once(which):
    command = [sys.executable, "-c", PROGRAM, which]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert {*done.stdout.split()} <= {"result", "ValueError", "MemoryError"}
