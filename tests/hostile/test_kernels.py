"""No operator that a pt2 archive may name answers by what lies beside its tensors.

Nor does one write into a tensor that it is given, or give it back, but as effects.py knows.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kernels_by_chance import OPERATORS

SCRIPT = Path(__file__).parents[1] / "support" / "kernels_by_chance.py"
TRIES, TRIES_OF_SOAK = 12, 300  # of each operator
FILLINGS = ("85", "170")


def _calls(filling, tries):
    """The lines of all calls, and the operators that ended the process, each of them once."""
    lines, crashed, first = [], [], 0
    environment = {**os.environ, "MALLOC_PERTURB_": filling, "OMP_NUM_THREADS": "1"}
    while first < len(OPERATORS):
        command = [sys.executable, str(SCRIPT), str(tries), str(first)]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        lines += done.stdout.splitlines()
        if done.returncode == 0:
            break
        crashed.append(lines.pop())
        first = int(crashed[-1].split(" ")[0]) + 1
    return lines, crashed


@pytest.mark.parametrize(
    "tries",
    [
        pytest.param(TRIES, marks=pytest.mark.slow),
        pytest.param(TRIES_OF_SOAK, marks=pytest.mark.soak),
    ],
)
def test_answers_do_not_depend_on_free_memory_and_arguments_stay_as_they_are(tries):
    with ThreadPoolExecutor(len(FILLINGS)) as pool:
        (ones, crashed), (others, _) = pool.map(_calls, FILLINGS, [tries] * len(FILLINGS))
    assert crashed == []
    assert len(ones) > tries * 400
    assert [pair for pair in zip(ones, others, strict=True) if pair[0] != pair[1]] == []
    assert [line for line in ones if "UNDECLARED" in line] == []
