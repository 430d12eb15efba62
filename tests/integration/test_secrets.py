# SPDX-License-Identifier: Apache-2.0
"""Secrets in routerd's configuration, in files beside it, and in credentials of systemd."""

import json
import os
import subprocess

import pytest
from rawclient import refused
from test_static import ALICE, TICKET, site
from utils import BUILD, Ticket

pytestmark = pytest.mark.one_worker


def ticket_in(**where):
    return site(ticket={"type": "static", "principals": {ALICE: {"role": "device", **where}}})


def test_secrets_in_files(folder, start_routerd, join):
    os.mkdir(folder / "credentials", 0o700)
    for name, content in ("a.ticket", "s3cret-\u2603\n"), ("credentials/a", "s3cret-\u2603"):
        (folder / name).write_text(content)
        os.chmod(folder / name, 0o400)
    for number, where in enumerate([{"ticket_file": "a.ticket"}, {"ticket_file": str(folder / "a.ticket")},
                                    {"ticket_credential": "a"}]):
        routerd = start_routerd(ticket_in(**where), name=f"r{number}",
                                env={"CREDENTIALS_DIRECTORY": str(folder / "credentials")})
        join(routerd, key=TICKET, authid=ALICE)


def check(folder, config, env=None):
    """What --check says about a configuration, without file and position."""
    (folder / "c.yaml").write_text(json.dumps(config))
    done = subprocess.run([BUILD / "routerd/routerd", "--check", "c.yaml"], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stderr


@pytest.mark.parametrize("mode, content, text", [
    (0o644, "x", "other users can read or change this secret: chmod 0600 or 0640"),
    (0o660, "x", "other users can read or change this secret: chmod 0600 or 0640"),
    (0o600, "", "the file is empty"), (0o600, "\n", "the file is empty"),
    (0o600, "x" * 4097, "the secret is longer than 4096 bytes"),
    (0o600, "x" * 5000, "the secret is longer than 4096 bytes"),
    (0o600, "a\0b", "the secret is not UTF-8, or contains a zero byte"),
    (0o600, b"\xff", "the secret is not UTF-8, or contains a zero byte"),
    (0o600, "x" * 4096 + "\n", None), (0o640, "x", None),
], ids=lambda value: str(value)[:20])
def test_files_that_check_refuses(folder, mode, content, text):
    (folder / "t").write_bytes(content if isinstance(content, bytes) else content.encode())
    os.chmod(folder / "t", mode)
    code, said = check(folder, ticket_in(ticket_file="t"))
    assert (code, text is None or text in said) == (0 if text is None else 78, True), said


@pytest.mark.parametrize("content, text", [
    ("x\r\n", "ends with a blank or a carriage return"), ("x ", "ends with a blank or a carriage return"),
    ("x\ny\n", "has several lines"), ("x\n\n", "has several lines"), ("x y\n", None)])
def test_files_that_check_warns_of(folder, content, text):
    (folder / "t").write_bytes(content.encode())
    os.chmod(folder / "t", 0o600)
    code, said = check(folder, ticket_in(ticket_file="t"))
    assert code == 0
    assert "the secret " not in said if text is None else \
        f"warning: t: the secret {text}: clients must send exactly this text" in said


def test_things_that_are_no_files(folder):
    os.mkdir(folder / "folder", 0o700)
    os.mkfifo(folder / "pipe", 0o600)
    for name, text in ("folder", "this is not a regular file"), ("pipe", "this is not a regular file"), \
            ("missing", "No such file or directory"):
        code, said = check(folder, ticket_in(ticket_file=name))
        assert code == 78 and f"{name}: {text}" in said
    code, said = check(folder, ticket_in(ticket_credential="a"), env={"CREDENTIALS_DIRECTORY": str(folder)})
    assert code == 78 and "a: No such file or directory" in said
    code, said = check(folder, ticket_in(ticket_credential="a"))
    assert code == 78 and "CREDENTIALS_DIRECTORY is not set" in said


def test_a_credential_that_this_process_may_not_read(folder):
    """systemd hides a unit's credentials from its ExecReload=."""
    # root may read everything unless it drops its capabilities
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    env = {**os.environ, "CREDENTIALS_DIRECTORY": "hidden"}
    os.mkdir(folder / "hidden", 0)
    for extra, option, expected in ({}, "--check", 0), ({"nonsense": 1}, "--check", 78), ({}, "-c", 78):
        (folder / "c.yaml").write_text(json.dumps({**ticket_in(ticket_credential="a"), **extra}))
        done = subprocess.run([*drop, BUILD / "routerd/routerd", option, "c.yaml"], cwd=folder, capture_output=True, text=True,
                              env=env, timeout=20)
        assert done.returncode == expected, done.stderr
        assert "nonsense" in done.stderr or \
            "warning: hidden/a: Permission denied: the secret in it is not checked" in done.stderr


# a mount name space in which nobody may enter the folder of all credentials; the machine's own /run stays as it is
HIDING = ["unshare", "--mount", "sh", "-euc", 'mount -t tmpfs tmpfs /run; mkdir -m 0 /run/credentials; exec "$@"',
          "sh", "setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@pytest.mark.skipif(os.geteuid() != 0 or subprocess.run([*HIDING, "true"], capture_output=True).returncode != 0,
                    reason="cannot hide a folder here")
def test_a_reload_under_systemd_257(folder):
    """It sets no CREDENTIALS_DIRECTORY for ExecReload=, and hides all credentials from it."""
    env = {name: value for name, value in os.environ.items() if name != "CREDENTIALS_DIRECTORY"}
    for config, path in [(ticket_in(ticket_credential="a"), "/run/credentials/a"),
                         ({**site(), "node_key_file": "/run/credentials/routerd.service/x"}, "/run/credentials/routerd.service/x")]:
        for extra, expected in ({}, 0), ({"nonsense": 1}, 78):
            (folder / "c.yaml").write_text(json.dumps({**config, **extra}))
            done = subprocess.run([*HIDING, BUILD / "routerd/routerd", "--check", "c.yaml"], cwd=folder, capture_output=True,
                                  text=True, env=env, timeout=20)
            assert done.returncode == expected and f"warning: {path}: Permission denied: " in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user(folder):
    (folder / "t").write_text("x")
    os.chmod(folder / "t", 0o600)
    os.chown(folder / "t", 12345, 0)
    code, said = check(folder, ticket_in(ticket_file="t"))
    assert code == 78 and "the file belongs to another user" in said


def test_no_secret_in_the_log_or_in_messages(folder, start_routerd, connect):
    config = ticket_in(ticket="canary-4Kd")
    config["log"] = {"level": "debug"}
    routerd = start_routerd(config)
    refused(connect(routerd), key=Ticket("canary-5Le"), authid=ALICE)
    connect(routerd).join(key=Ticket("canary-4Kd"), authid=ALICE)
    assert "canary" not in routerd.log()
    config["transports"][0]["auth"]["ticket"]["principals"][ALICE]["role"] = "king"
    code, said = check(folder, config)
    assert code == 78 and "no realm has a role 'king'" in said and "canary" not in said
