# SPDX-License-Identifier: Apache-2.0
"""What a stranger types first: `make demo`, twice, and on a port that is taken."""

import os
import re
import signal
import socket
import subprocess

import pytest
from utils import BUILD, ROOT, wait_for

pytestmark = [
    pytest.mark.skipif(BUILD.name != "release", reason="the demo builds and runs a release"),
    pytest.mark.xdist_group("port8080"),
]

EXPECTED = r"""--- client with the known key
joined realm devices
  session       \d+
  authid        client01@example\.com
  authrole      device
  authmethod    cryptosign
  authprovider  dynamic
  authextra
    foo         23
    x_cb_node   \S+
    x_cb_peer   tcp4:127\.0\.0\.1:\d+
    x_cb_pid    \d+
    x_cb_worker \S+
  serializer    cbor\.batched
--- client with an unknown key
refused
  reason        com\.example\.no_such_user
  message       no principal with matching public key 0x[0-9a-f]{64}
"""


def demo(tmp_path, *args, **kw):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.run(["sh", "etc/demo/demo.sh", *args], cwd=ROOT, env=env, capture_output=True,
                          text=True, timeout=300, **kw)


def daemons_in(tmp_path):
    """Processes whose working directory is below tmp_path."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(str(tmp_path)):
                found.append(pid)
        except OSError:
            pass
    return found


def test_demo_runs_twice_and_leaves_nothing(tmp_path):
    for _ in range(2):
        done = demo(tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        output = done.stdout[done.stdout.index("---"):]
        assert re.fullmatch(EXPECTED, output), output
        assert os.listdir(tmp_path) == []
        assert daemons_in(tmp_path) == []


def test_an_occupied_port_is_named(tmp_path):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 8080))
        s.listen(1)
        done = demo(tmp_path)
    assert done.returncode != 0
    assert "8080" in done.stderr
    assert os.listdir(tmp_path) == [] and daemons_in(tmp_path) == []


def test_run_serves_until_ctrl_c(tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(["sh", "etc/demo/demo.sh", "--serve"], cwd=ROOT, env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        line = ""
        while "client.py" not in line:
            line = process.stdout.readline()
            assert line, "it ended"
        client = subprocess.run(line.split(), capture_output=True, text=True, timeout=60)
        assert client.returncode == 0 and "joined realm devices" in client.stdout
    finally:
        os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) == 0
    wait_for(lambda: not daemons_in(tmp_path), "everything to stop")
    assert os.listdir(tmp_path) == []
