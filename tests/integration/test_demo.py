# SPDX-License-Identifier: Apache-2.0
"""`make demo` as a newcomer runs it: twice, on a port that is taken, and on another port."""

import base64
import hashlib
import os
import re
import signal
import socket
import subprocess
import threading

import pages
import pytest
from utils import BUILD, ROOT, free_port, wait_for

pytestmark = [
    pytest.mark.skipif(BUILD.name != "release", reason="the demo builds and runs only a release"),
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


def test_the_readme_shows_what_it_prints():
    shown = next(block for block in pages.blocks(pages.section("Try it")) if block.startswith("---"))
    assert re.fullmatch(EXPECTED, shown)


def demo(tmp_path, *args):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.run(["make", "-s", "demo", *args], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)


def daemons_in(tmp_path):
    """The processes whose working directory is below tmp_path."""
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
        # run the printed commands exactly as they are
        for program, expected in [("client.py", "joined realm devices"), ("authctl", "client01@example.com")]:
            line = ""
            while program not in line:
                line = process.stdout.readline()
                assert line, "the demo ended"
            typed = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)
            assert typed.returncode == 0 and expected in typed.stdout, typed.stdout + typed.stderr
    finally:
        os.killpg(process.pid, signal.SIGINT)
    # make exits with its child's status or dies of the signal
    assert process.wait(20) in (0, -signal.SIGINT)
    wait_for(lambda: not daemons_in(tmp_path), "everything to stop")
    assert os.listdir(tmp_path) == []


def test_run_shows_the_log_of_a_router_that_ends(tmp_path):
    process = subprocess.Popen(["make", "-s", "run", f"PORT={free_port()}"], cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        text = line = process.stdout.readline()
        while line and "authctl" not in line:
            line = process.stdout.readline()
            text += line
        routerd_log, authd_log = re.findall(r"\S+\.log", text)
        with open(routerd_log) as routerd, open(authd_log) as authd:
            assert "routerd ready" in routerd.read() and "authd ready" in authd.read()
        router = next(pid for pid in daemons_in(tmp_path) if open(f"/proc/{pid}/comm").read() == "routerd\n")
        os.kill(int(router), signal.SIGKILL)
        rest = process.communicate(timeout=20)[0]
    finally:
        process.kill()
    assert process.returncode != 0
    assert "routerd ready" in rest and "routerd has ended; its log is above" in rest, rest


def client(*args):
    done = subprocess.run(["/usr/bin/python3", ROOT / "etc/demo/client.py", *args], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


def serve_once(answer):
    """A server on a free port that reads one request, sends `answer` and closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as peer:
            request = peer.recv(4096).decode()
            peer.sendall(answer(request))
            if b" 101 " in answer(request):
                peer.recv(4096)  # reads HELLO

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"


def upgraded(request):
    key = re.search("Sec-WebSocket-Key: *(.*?)\r\n", request, re.I).group(1)
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
            "Sec-WebSocket-Protocol: wamp.2.cbor\r\n\r\n").encode()


@pytest.mark.parametrize("answer, text", [
    (lambda request: b"HTTP/1.1 404 Not Found: nothing is here\r\nContent-Length: 0\r\n\r\n", "[404]: Not Found: nothing is here"),
    (upgraded, "no answer"),
])
def test_the_client_says_that_it_got_no_answer(tmp_path, answer, text):
    (tmp_path / "key").write_bytes(bytes(32))
    url = serve_once(answer)
    status, out, err = client("--key", tmp_path / "key", "--url", url)
    assert status == 2 and out == ""
    assert text in err and url in err and "Traceback" not in err, err


@pytest.mark.parametrize("content, text", [(None, "No such file"), (b"x" * 31, "32 bytes")])
def test_the_client_says_what_is_wrong_with_its_key(tmp_path, content, text):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    status, out, err = client("--key", tmp_path / "key")
    assert status == 2 and str(tmp_path / "key") in err and text in err and "Traceback" not in err, err


FAKES = {
    "dpkg-query": "exit 1\n",  # reports that no package is installed
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
