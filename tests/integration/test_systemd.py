# SPDX-License-Identifier: Apache-2.0
"""What systemd sees: units that it accepts, sockets that it passes, READY=1 and STOPPING=1."""

import os
import re
import shutil
import socket
import subprocess

import pytest
import rawclient
import utils

UNITS = ["routerd.service", "authd.service", "authd.socket"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """`make install` into a folder, with units that run the programs in that folder."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["make", "-s", "install", f"DESTDIR={root}", "prefix=/usr", f"MODE={utils.BUILD.name}"],
                   cwd=utils.ROOT, check=True, capture_output=True)
    return root


def test_install_puts_everything_in_its_place(installed):
    for path in ["usr/sbin/routerd", "usr/sbin/authd", "usr/bin/authctl", "etc/routerd/routerd.yaml",
                 "etc/authd/authd.yaml", "usr/lib/sysusers.d/wamp-router.conf", "usr/lib/tmpfiles.d/wamp-router.conf",
                 "usr/share/doc/routerd/README.md", "usr/share/doc/routerd/etc/doc/deploy.md",
                 *(f"usr/lib/systemd/system/{u}" for u in UNITS)]:
        assert (installed / path).is_file(), path
    for unit in UNITS:
        assert "@" not in (installed / "usr/lib/systemd/system" / unit).read_text().replace("@system-service", "") \
            .replace("@privileged", "").replace("@resources", "")


def test_links_of_the_installed_pages_lead_somewhere(installed):
    pages = sorted((installed / "usr/share/doc/routerd").rglob("*.md"))
    assert len(pages) > 5
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), (page.name, target)


def test_install_leaves_a_configuration_alone(installed):
    config = installed / "etc/routerd/routerd.yaml"
    before = config.read_text()
    config.write_text("# mine\n")
    subprocess.run(["make", "-s", "install", f"DESTDIR={installed}", "prefix=/usr", f"MODE={utils.BUILD.name}"],
                   cwd=utils.ROOT, check=True, capture_output=True)
    assert config.read_text() == "# mine\n"
    config.write_text(before)


def test_the_installed_configurations_are_good(installed, tmp_path):
    # these users exist only after systemd-sysusers has run, so use numbers here
    text = (installed / "etc/routerd/routerd.yaml").read_text().replace("[root, authd]", "[0]")
    config = tmp_path / "routerd.yaml"
    config.write_text(text)
    result = subprocess.run([installed / "usr/sbin/routerd", "--check", config], capture_output=True, text=True,
                            env={**os.environ, **utils.sanitizer_env()})
    assert result.returncode == 0, result.stderr


def test_units_are_clean(installed, tmp_path):
    for unit in UNITS:
        text = (installed / "usr/lib/systemd/system" / unit).read_text()
        (tmp_path / unit).write_text(re.sub(r"/usr/sbin/", f"{installed}/usr/sbin/", text))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", *(str(tmp_path / u) for u in UNITS)],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    ours = [line for line in result.stderr.splitlines() if "routerd" in line or "authd" in line]
    assert ours == []


@pytest.mark.parametrize("service, most", [("routerd", 1.6), ("authd", 0.7)])
def test_the_exposure_is_small(installed, service, most):
    """systemd rates the exposure from 0.0 to 10.0; the threshold is in tenths."""
    result = subprocess.run(["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={most * 10:.0f}",
                             installed / f"usr/lib/systemd/system/{service}.service"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def activate(folder, listen, name, argv, log):
    """Runs systemd-socket-activate, which starts the program at the first connect."""
    argv = utils.tsan_prefix() + argv
    return subprocess.Popen(
        ["systemd-socket-activate", "-l", str(listen), f"--fdname={name}", "-E", "ASAN_OPTIONS", "-E", "UBSAN_OPTIONS",
         "-E", "TSAN_OPTIONS", *map(str, argv)],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **utils.sanitizer_env()})


def finish(process, log_path):
    process.terminate()
    assert process.wait(10 * utils.SLOW) == 0, log_path.read_text()
    assert not utils.BAD_LOG.search(log_path.read_text())


def test_routerd_takes_a_socket(folder):
    port = utils.free_port()
    # with another port in the file: routerd must use the inherited socket
    utils.Routerd(folder, utils.router_config(threads=1, cryptosign=False))  # writes routerd.yaml
    log_path = folder / "log"
    with open(log_path, "wb") as log:
        process = activate(folder, f"127.0.0.1:{port}", "public",
                           [utils.BUILD / "routerd/routerd", "-c", "routerd.yaml"], log)
        utils.wait_for(lambda: "Listening on" in log_path.read_text(), "systemd-socket-activate")
        client = rawclient.Client(port, "json")
        assert client.join("devices")["authrole"] == "device"
        client.close_socket()
        finish(process, log_path)


def test_authd_takes_a_socket(folder):
    authd = utils.Authd(folder, None)
    authd.start()
    authd.stop()  # now its configuration and database exist
    path = folder / "authd.sock"
    log_path = folder / "log"
    with open(log_path, "wb") as log:
        process = activate(folder, path, "auth", [utils.BUILD / "authd/authd", "-c", "authd.yaml"], log)
        utils.wait_for(lambda: "Listening on" in log_path.read_text(), "systemd-socket-activate")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5 * utils.SLOW)
            s.connect(str(path))
            # a ping before hello gets a result or an error, either of which shows that authd runs
            s.sendall(bytes([0x94, 0x00, 0x01, 0xa4]) + b"ping" + bytes([0x90]))
            assert s.recv(4)[:3] == bytes([0x94, 0x01, 0x01])
        finish(process, log_path)
    assert path.exists()  # systemd's file: authd must not remove it


@pytest.mark.parametrize("name", ["routerd", "authd"])
def test_notifies_ready_and_stopping(folder, name):
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(10 * utils.SLOW)
        env = {"NOTIFY_SOCKET": str(path)}
        if name == "routerd":
            daemon = utils.Routerd(folder, utils.router_config(threads=1, cryptosign=False), env=env)
        else:
            daemon = utils.Authd(folder, None)
            daemon.env.update(env)
        daemon.start()
        assert b"READY=1" in notify.recv(4096)
        daemon.stop()
        assert b"STOPPING=1" in notify.recv(4096)


def test_the_drop_in_names_its_service(installed):
    """The example that puts a site's own service behind authd.socket."""
    examples = installed / "usr/share/doc/routerd/examples/own-authenticator"
    drop_in = (examples / "authd.socket.conf").read_text()
    service = re.search(r"^Service=(.*)$", drop_in, re.M).group(1)
    assert (examples / service).is_file()


def test_the_drop_in_is_accepted(installed, tmp_path):
    for unit in UNITS:
        text = (installed / "usr/lib/systemd/system" / unit).read_text()
        (tmp_path / unit).write_text(re.sub(r"/usr/sbin/", f"{installed}/usr/sbin/", text))
    examples = installed / "usr/share/doc/routerd/examples/own-authenticator"
    service = (examples / "own-authenticator.service").read_text()
    (tmp_path / "own-authenticator.service").write_text(service.replace("/usr/bin/python3 /opt/own-authenticator/example.py", shutil.which("true")))
    (tmp_path / "authd.socket.d").mkdir()
    shutil.copy(examples / "authd.socket.conf", tmp_path / "authd.socket.d")
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / "authd.socket")],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "authd" not in result.stderr
