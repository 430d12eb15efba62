# SPDX-License-Identifier: Apache-2.0
"""What a stranger types first: `make demo`, twice, on a port that is taken, and on another one."""

import os
import re
import signal
import socket
import subprocess

import pytest
from utils import BUILD, ROOT, free_port, wait_for

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


def demo(tmp_path, *args):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.run(["make", "-s", "demo", *args], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)


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
        assert "port 8080 is taken; choose another one: make demo PORT=8090" in done.stderr
        assert os.listdir(tmp_path) == [] and daemons_in(tmp_path) == []
        done = demo(tmp_path, f"PORT={free_port()}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.fullmatch(EXPECTED, done.stdout[done.stdout.index("---"):]), done.stdout


def test_run_serves_until_ctrl_c(tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(["make", "-s", "run", f"PORT={free_port()}"], cwd=ROOT, env=env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        # the lines that it prints, typed as they are
        for program, expected in [("client.py", "joined realm devices"), ("authctl", "client01@example.com")]:
            line = ""
            while program not in line:
                line = process.stdout.readline()
                assert line, "it ended"
            typed = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)
            assert typed.returncode == 0 and expected in typed.stdout, typed.stdout + typed.stderr
    finally:
        os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) in (0, -signal.SIGINT)  # make does as its child or ends by the signal itself
    wait_for(lambda: not daemons_in(tmp_path), "everything to stop")
    assert os.listdir(tmp_path) == []


FAKES = {
    "dpkg-query": "exit 1\n",  # nothing is installed
    "sudo": 'exec "$@"\n',
    "apt-get": """echo "$*" >>calls
n=$(wc -l <calls)
if [ $n -lt 3 ]; then
    echo "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt-get)" >&2
    exit 100
elif [ -e broken ]; then
    echo "E: Unable to locate package" >&2
    exit 100
fi
""",
}


@pytest.mark.parametrize("broken", [False, True])
def test_apts_lock_is_waited_for(tmp_path, broken):
    for name, text in FAKES.items():
        (tmp_path / name).write_text("#!/bin/sh\n" + text)
        (tmp_path / name).chmod(0o755)
    if broken:
        (tmp_path / "broken").touch()
    done = subprocess.run(["sh", ROOT / "etc/demo/install-packages.sh", "/dev/stdin"], input="some-package\n", cwd=tmp_path,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True,
                          timeout=60)
    assert done.stdout.count("waiting") == 1, done.stdout
    calls = [line.split()[1] for line in (tmp_path / "calls").read_text().splitlines()]
    if broken:
        assert done.returncode != 0 and "Unable to locate package" in done.stderr and "some-package" in done.stderr
    else:
        assert done.returncode == 0 and calls == ["install"] * 3
