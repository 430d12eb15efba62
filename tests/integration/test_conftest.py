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


def run_pytest(folder, text, *args):
    (folder / "test_it.py").write_text(text)
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest", *args, "test_it.py"],
                          cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * utils.SLOW,
                          env={**os.environ, "PYTHONPATH": str(utils.ROOT / "tests/integration")})


@pytest.mark.parametrize("jobs", ["0", "2"])
def test_what_is_left_out_is_said(folder, jobs):
    done = run_pytest(folder, CASES, "-n", jobs)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr
    assert "left out: 1 cases: one thread over another transport than WebSocket" in done.stdout


def test_a_test_without_a_case_is_an_error(folder):
    done = run_pytest(folder, NONE)
    assert done.returncode == 4 and "every case is left out" in done.stderr and "test_one" in done.stderr, done.stdout
