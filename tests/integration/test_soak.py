# SPDX-License-Identifier: Apache-2.0
"""A short run of `make soak`, with another seed each time."""

import subprocess
import sys

import utils


def test_all_features_at_random():
    seconds = 20 if utils.BUILD.name == "release" else 12
    done = subprocess.run([sys.executable, utils.ROOT / "tests/soak/soak.py", "--seconds", str(seconds)],
                          capture_output=True, text=True, timeout=(seconds + 30) * utils.SLOW)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
