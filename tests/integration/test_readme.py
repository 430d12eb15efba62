# SPDX-License-Identifier: Apache-2.0
"""Runs what the README shows, with only the port changed."""

import os
import re
import shlex
import subprocess

import peers
import pytest
import utils

README = (utils.ROOT / "README.md").read_text()


def example(language, title):
    section = README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return re.search(rf"```{language}\n(.*?)```", section, re.S).group(1)


@pytest.fixture
def router(start_authd, start_routerd, folder):
    """A router and authd with the README's principal, whose key authctl made as the README says."""
    authd = start_authd()
    authd.ctl("key", "gen", "-f", "client01.key")
    public = re.search(r"[0-9a-f]{64}", authd.ctl("-o", "json", "key", "show", "client01.key")).group()
    add = re.search(r"authctl (principal add .*?)\n\n", README, re.S).group(1)
    args = shlex.split(add.replace("\\\n", " "))
    args[args.index("--key") + 1] = public
    authd.ctl(*args)
    return start_routerd()


def run(argv, folder, expect, log_name, env=None):
    """Starts a program and waits until it prints `expect`."""
    log_path = folder / log_name
    with open(log_path, "wb") as log:
        process = subprocess.Popen([str(a) for a in argv], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, **(env or {})})
    try:
        utils.wait_for(lambda: re.search(expect, log_path.read_text()) or process.poll() is not None, expect, 20)
        assert re.search(expect, log_path.read_text()), log_path.read_text()
    finally:
        process.kill()
        process.wait()


def test_python(router, folder):
    text = example("python", "Connect from Python").replace("localhost:8080", f"127.0.0.1:{router.port()}")
    (folder / "client.py").write_text(text)
    run(["/usr/bin/python3", "-u", "client.py"], folder, r"joined client01@example.com device .*'foo': 23(.|\n)*2 \+ 3 = 5",
        "python.log")


def test_javascript(router, folder):
    text = example("js", "Connect from JavaScript").replace("localhost:8080", f"127.0.0.1:{router.port()}")
    (folder / "client.js").write_text(text)
    run(["node", "client.js"], folder, r"joined client01@example.com device \{(.|\n)*foo: 23(.|\n)*event: hello", "js.log",
        env={"NODE_PATH": str(peers.CLIENTS / "node_modules")})


def test_javascript_says_why_it_was_refused(router, folder):
    text = (example("js", "Connect from JavaScript").replace("localhost:8080", f"127.0.0.1:{router.port()}")
            .replace("client01@example.com", "somebody@example.com"))
    (folder / "client.js").write_text(text)
    run(["node", "client.js"], folder, r"closed: closed com.example.\S+ \w+", "js.log",
        env={"NODE_PATH": str(peers.CLIENTS / "node_modules")})
