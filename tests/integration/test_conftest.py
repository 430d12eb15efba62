# SPDX-License-Identifier: Apache-2.0
"""conftest.py reports the cases that it leaves out, and refuses to leave out a whole test."""

import os
import subprocess
import sys

import pytest
import utils

pytestmark = pytest.mark.skipif(utils.BUILD.name != "release", reason="no daemon runs here")

CASES = """
import pytest

@pytest.mark.parametrize("transport", ["websocket", "rawsocket"], indirect=True)
def test_one(transport, threads):
    pass
"""
NONE = CASES.replace('"websocket", ', "") + """
test_one = pytest.mark.websocket(test_one)
"""


PAIRS = """
import pytest

@pytest.mark.parametrize("transport", ["websocket", "rawsocket"], indirect=True)
@pytest.mark.parametrize("a", range(3))
@pytest.mark.parametrize("b, c", [(0, 1), (1, 0), (1, 1)], ids="xyz")
def test_it(transport, a, b, c):
    pass
"""


def run_pytest(folder, text, *args, **env):
    (folder / "test_it.py").write_text(text)
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest", *args, "test_it.py"],
                          cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * utils.SLOW,
                          env={**os.environ, "ALL_CASES": "", "PYTHONPATH": str(utils.ROOT / "tests/integration"), **env})


@pytest.mark.parametrize("jobs", ["0", "2"])
def test_what_is_left_out_is_said(folder, jobs):
    done = run_pytest(folder, CASES, "-n", jobs)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr
    assert "left out: 1 cases: one thread over another transport than WebSocket" in done.stdout


@pytest.mark.parametrize("build", ["release", "asan"])
def test_all_pairs_but_not_all_combinations(folder, build):
    """A sanitizer needs each transport, but not with each of the other values."""
    def cases(**env):
        found = run_pytest(folder, PAIRS, "--collect-only", BUILD=str(utils.BUILD.parent / build), **env).stdout
        return sorted(line.split("[")[1][:-1].split("-") for line in found.splitlines() if "::" in line)

    every, chosen = cases(ALL_CASES="1"), cases()
    assert len(every) == 18 and 9 <= len(chosen) < 18 and chosen == cases()
    for first, second in (0, 1), (0, 2), (1, 2):
        pairs = [{(case[first], case[second]) for case in some} for some in (every, chosen)]
        transport = "websocket" in {case[second] for case in every}
        assert pairs[0] == pairs[1] or build == "asan" and transport
    assert [{case[i] for case in every} for i in range(3)] == [{case[i] for case in chosen} for i in range(3)]


def test_a_test_without_a_case_is_an_error(folder):
    done = run_pytest(folder, NONE)
    assert done.returncode == 4 and "every case is left out" in done.stderr and "test_one" in done.stderr, done.stdout
