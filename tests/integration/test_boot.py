# SPDX-License-Identifier: Apache-2.0
"""The installed units under a booted systemd. Runs the commands of README.md and etc/doc as they are
written.

tests/boot.sh describes what is booted. The test changes nothing on this machine and leaves nothing
behind.
"""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pages
import pytest
import utils
from pages import blocks, section

SERVICES = ["routerd.service", "authd.service"]
UNITS = ["authd.socket", *SERVICES]
WHAT_IS_INSTALLED = blocks(section("What is installed", pages.DOC / "deploy.md"))
# the files in /run/authd, whichever unit started first: type, mode, user, group
FILES = {".": "drwxr-xr-x authd authd", "auth.sock": "srw-rw---- authd routerd", "admin.sock": "srw-rw---- authd authd"}

pytestmark = [
    pytest.mark.skipif(utils.BUILD.name != "release", reason="only a release is installed"),
    pytest.mark.xdist_group("boot"),
]


def child(parent, name):
    """The pid of the child of `parent` with this name, or None."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, rest = path.read_text().rsplit(")", 1)
        except OSError:
            continue  # the process has ended
        if head.endswith(f"({name}") and int(rest.split()[1]) == parent:
            return int(path.parent.name)
    return None


# how tests/boot.sh is run
UNSHARED = ["unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--fork", "--kill-child"]

# what tests/boot.sh needs, and some containers forbid
PROBE = """
for top in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    if [ -e $top/cgroup.procs ]; then mkdir $top/wamp-probe; rmdir $top/wamp-probe; fi
done
mount -t tmpfs tmpfs /run
mkdir /run/new /run/work
mount -t overlay -o lowerdir=/,upperdir=/run/new,workdir=/run/work overlay /mnt
exec systemd-nspawn -q -D /mnt --register=no --keep-unit --private-network --link-journal=no true
"""


def reason_not_to_boot():
    if os.geteuid() != 0:
        return "only root can boot one"
    if not shutil.which("systemd-nspawn"):
        return "there is no systemd-nspawn (Debian: systemd-container)"
    probe = subprocess.run([*UNSHARED, "sh", "-euc", PROBE], capture_output=True, text=True, timeout=60 * utils.SLOW)
    if probe.returncode != 0:
        return f"systemd-nspawn cannot run here: {probe.stderr.strip()}"
    return None


class Machine:
    """A booted systemd."""

    def __init__(self):
        # systemd-nspawn also uses this name as the host name, which allows few characters
        self.box = Path(tempfile.gettempdir(), f"wamp-boot-{os.getpid()}")
        self.box.mkdir()
        self.log_path = self.box.with_suffix(".log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([*UNSHARED, "sh", utils.ROOT / "tests/boot.sh", self.box],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def init(self):
        """The pid of the inner systemd. Its ancestors are systemd-nspawn, boot.sh and unshare."""
        pid = self.process.pid
        for name in ["sh", "systemd-nspawn", "systemd"]:
            pid = pid and child(pid, name)
        return pid

    def try_run(self, command):
        init = self.init()
        if init is None:
            return None
        # pass only the variables without which make would rebuild everything
        env = [f"{name}={os.environ[name]}" for name in ["CC", "CFLAGS", "LDFLAGS"] if name in os.environ]
        return subprocess.run(
            ["nsenter", "--target", str(init), "--all", "--root", "env", "-i", "HOME=/root", "LANG=C.UTF-8",
             "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *env, "sh", "-euc", f"cd /src\n{command}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * utils.SLOW)

    def run(self, command, status=0):
        done = self.try_run(command)
        assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def journal(self):
        return self.try_run("journalctl --no-pager -n 60 -o short-precise").stdout

    def wait_booted(self):
        def booted():
            if self.process.poll() is not None:
                pytest.fail(f"tests/boot.sh has ended: {self.log_path.read_text()[-2000:]}")
            done = self.try_run("systemctl is-active multi-user.target")
            return done and done.returncode == 0

        utils.wait_for(booted, "systemd to boot", 15)

    def reboot(self):
        before = self.init()
        self.run("systemctl --no-block reboot")
        utils.wait_for(lambda: self.init() not in (None, before), "the reboot", 20)
        self.wait_booted()

    def end(self):
        self.process.kill()  # this ends all its children, too
        self.process.wait()
        for top in ["", "systemd", "unified"]:
            for folder, _, _ in os.walk(Path("/sys/fs/cgroup", top, self.box.name), topdown=False):
                utils.wait_for(lambda: try_rmdir(folder), f"{folder} to be empty")
        self.box.rmdir()
        self.log_path.unlink()


def try_rmdir(folder):
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


class Site(Machine):
    """A booted systemd with routerd and authd installed."""

    def login(self):
        out = self.run("python3 etc/demo/client.py --key /root/client01.key")
        assert re.search(r"authid +client01@example.com\n +authrole +device", out), out

    def refuse(self):
        refused = self.run("python3 etc/demo/client.py --key /root/unknown.key", status=1)
        assert "com.example.no_such_user" in refused, refused

    def check_files(self, files):
        listed = self.run("cd /run/authd && stat -c '%n %A %U %G' . *")
        assert dict(line.split(" ", 1) for line in listed.splitlines()) == files

    def show(self, unit, name):
        return self.run(f"systemctl show -P {name} {unit}").strip()


@pytest.fixture(scope="module")
def site():
    reason = reason_not_to_boot()
    if reason:
        pytest.skip(reason)
    subprocess.run(["make", "-s", "all"], cwd=utils.ROOT, check=True, capture_output=True)
    machine = Site()
    try:
        machine.wait_booted()
        machine.run(blocks(section("Run it under systemd"))[0])
        machine.run("authctl key gen -f /root/unknown.key")
        machine.public = re.search("[0-9a-f]{64}", machine.run("authctl key gen -f /root/client01.key")).group()
        add = blocks(section("Add a principal"))[0].split("\n", 1)[1]
        machine.run(re.sub("--key [0-9a-f]{64}", f"--key {machine.public}", add))
        yield machine
    finally:
        machine.end()


def in_each_order(site, verb, units):
    for order in itertools.permutations(units):
        if verb == "start":
            site.run(f"systemctl stop {' '.join(units)}")
        for unit in order:
            site.run(f"systemctl {verb} {unit}")
        site.login()
    failed = site.run("systemctl list-units --failed --plain --no-legend")
    assert failed == "", failed


def test_install_start_and_log_in(site):
    site.login()
    site.refuse()
    site.check_files(FILES)


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_each_order(site, verb):
    in_each_order(site, verb, UNITS)
    site.check_files(FILES)


def test_reboot(site):
    site.reboot()
    site.login()
    site.check_files(FILES)


def test_it_comes_back_however_often_it_is_killed(site):
    """More often than systemd's default limit of 5 starts in 10 seconds."""
    for _ in range(7):
        before = {unit: site.show(unit, "MainPID") for unit in SERVICES}
        site.run(f"systemctl kill -s KILL {' '.join(SERVICES)}")
        for unit in SERVICES:
            utils.wait_for(lambda: site.show(unit, "ActiveState") == "active" and
                           site.show(unit, "MainPID") not in ("0", before[unit]), f"{unit} to come back")
    site.login()
    site.check_files(FILES)


@pytest.mark.parametrize("name", ["routerd", "authd"])
def test_a_bad_configuration_is_not_tried_again(site, name):
    file, unit = f"/etc/{name}/{name}.yaml", f"{name}.service"

    def starts():
        return site.run(f"journalctl --no-pager -u {unit}").count("Starting ")

    before, began = starts(), time.monotonic()
    site.run(f"cp {file} /root/good.yaml && echo 'nonsense: 1' >>{file}")
    try:
        assert site.try_run(f"systemctl restart {unit}").returncode != 0
        if name == "routerd":
            assert starts() == before + 1 and site.show(unit, "ActiveState") == "failed"
        else:
            # routerd connects to the socket, which starts authd again. The limit is 20 starts in 5
            # seconds; its interval may have begun earlier.
            utils.wait_for(lambda: site.show("authd.socket", "ActiveState") == "failed" or time.monotonic() > began + 6,
                           "the socket to give up")
            assert starts() - before <= 41 + 4 * (time.monotonic() - began)
        assert site.show(unit, "ExecMainStatus") == "78"
    finally:
        site.run(f"cp /root/good.yaml {file} && systemctl restart {unit}")
    site.login()


def test_a_port_that_is_taken_is_tried_again(site):
    """Another process may give up the port, so routerd tries again. It does not try again with a
    bad configuration."""
    site.run("systemctl stop routerd.service")
    site.run("systemd-run --unit=taker python3 -c 'import socket, time;"
             " taken = socket.create_server((\"::\", 8080), family=socket.AF_INET6, dualstack_ipv6=True); time.sleep(600)'")
    utils.wait_for(lambda: re.search(":1F90 [^ ]* 0A", site.run("cat /proc/net/tcp6")), "the port to be taken")
    assert site.try_run("systemctl start routerd.service").returncode != 0
    site.run("systemctl stop taker.service")
    utils.wait_for(lambda: site.show("routerd.service", "ActiveState") == "active", "routerd to come back")
    site.login()


def test_the_log_says_that_the_socket_is_not_ours(site):
    """Tests run as root, who may open every socket. Here routerd runs as its own user."""
    site.run("chmod 600 /run/authd/auth.sock && systemctl restart routerd.service")
    try:
        utils.wait_for(lambda: "Permission denied" in site.run("journalctl --no-pager -u routerd.service"),
                       "the log to name the reason")
    finally:
        site.run("chmod 660 /run/authd/auth.sock")
    site.login()
    site.check_files(FILES)


def test_reload(site):
    file, unit = "/etc/routerd/routerd.yaml", "routerd.service"
    pid = site.show(unit, "MainPID")

    def journal():
        return site.run(f"journalctl --no-pager -u {unit}")

    def done():
        return journal().count("reload done")

    site.run(f"cp {file} /root/good.yaml && sed -i 's/name: device$/name: other/' {file}")
    try:
        before = done()
        site.run(f"systemctl reload {unit}")
        utils.wait_for(lambda: done() == before + 1, "the reload")
        refused = site.run("python3 etc/demo/client.py --key /root/client01.key", status=1)
        assert "wamp.error.no_such_role" in refused, refused
        # a wrong file: the command fails, and routerd goes on with the last good one
        site.run(f"echo 'nonsense: 1' >>{file}")
        assert site.try_run(f"systemctl reload {unit}").returncode != 0
        assert re.search(r"routerd\.yaml:\d+:1: unknown key 'nonsense'", journal())
        assert site.show(unit, "ActiveState") == "active" and done() == before + 1
    finally:
        site.run(f"cp /root/good.yaml {file} && systemctl reload {unit}")
    utils.wait_for(lambda: done() == before + 2, "the reload")
    site.login()
    utils.wait_for(lambda: site.show(unit, "ActiveState") == "active", "the end of the reload")
    assert site.show(unit, "MainPID") == pid


def test_reload_with_a_credential(site):
    """The check of ExecReload= may not be able to read it."""
    file, unit, drop_in = "/etc/routerd/routerd.yaml", "routerd.service", "/etc/systemd/system/routerd.service.d"
    bob = "      ticket: {type: static, principals: {bob: {role: device, ticket_credential: bob}}}"
    site.run(f"mkdir {drop_in} && printf '[Service]\\nSetCredential=bob:s3cret\\n' >{drop_in}/bob.conf && "
             f"systemctl daemon-reload && cp {file} /root/good.yaml && sed -i 's/^ *auth:$/&\\n{bob}/' {file}")
    try:
        assert "bob" in site.run(f"cat {file}")
        site.run(f"systemctl restart {unit} && systemctl reload {unit}")
        site.run(f"echo 'nonsense: 1' >>{file}")
        assert site.try_run(f"systemctl reload {unit}").returncode != 0
    finally:
        site.run(f"cp /root/good.yaml {file} && rm -r {drop_in} && systemctl daemon-reload && systemctl restart {unit}")
    site.login()


def test_tls_with_credentials(site):
    """The key is readable only by root, and systemd passes it on; a new one needs a restart."""
    unit, folder = "routerd.service", "/etc/letsencrypt/live/router.example.com"
    drop_in, tls, hook, check = blocks(section("TLS certificates", pages.DOC / "deploy.md"))
    make = (f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 30 -subj /CN=x -addext "
            f"subjectAltName=DNS:router.example.com -keyout {folder}/privkey.pem -out {folder}/fullchain.pem 2>/dev/null && "
            f"chmod 600 {folder}/*")

    def write(path, text):
        site.run(f"mkdir -p $(dirname {path}) && cat >{path} <<'END'\n{text}\nEND")

    def shown():
        return site.run("openssl s_client -connect localhost:8443 </dev/null 2>/dev/null | openssl x509 -noout -serial")

    def loaded():
        return "serial=" + site.run(f"openssl x509 -noout -serial -in {folder}/fullchain.pem").strip().partition("=")[2] + "\n"

    site.run(f"mkdir -p {folder} && chmod 700 /etc/letsencrypt && {make}")
    site.run(f"authctl key gen -f {folder}/node.key")
    write("/etc/systemd/system/routerd.service.d/tls.conf", f"{drop_in}\nLoadCredential=node.key:{folder}/node.key")
    write("/etc/letsencrypt/renewal-hooks/deploy/routerd", hook)
    config = site.run("cat /etc/routerd/routerd.yaml")
    indented = "\n".join(f"      {line}" for line in tls.splitlines())
    new = f"""{config}
  - type: websocket
    id: secure
    endpoint:
      type: tcp
      port: 8443
{indented}
    auth:
      cryptosign: {{type: dynamic, authenticator: authd}}
node_key_file: /run/credentials/routerd.service/node.key"""
    try:
        write("/etc/routerd/routerd.yaml", new)
        site.run(f"systemctl daemon-reload && systemctl restart {unit}")
        assert shown() == loaded()
        site.run(f"systemctl reload {unit}")
        utils.wait_for(lambda: site.show(unit, "ActiveState") == "active", "the end of the reload")
        assert shown() == loaded()
        assert "routerd.yaml: ok" in site.run(check)
        site.run("echo 'nonsense: 1' >>/etc/routerd/routerd.yaml")
        assert site.try_run(f"systemctl reload {unit}").returncode != 0
        write("/etc/routerd/routerd.yaml", new)
        before = shown()
        site.run(make)
        assert shown() == before != loaded()
        site.run("sh /etc/letsencrypt/renewal-hooks/deploy/routerd")
        assert shown() == loaded()
    finally:
        write("/etc/routerd/routerd.yaml", config)
        site.run(f"rm -r /etc/systemd/system/routerd.service.d /etc/letsencrypt && systemctl daemon-reload && "
                 f"systemctl restart {unit}")
    site.login()


def test_no_core(site):
    for unit in SERVICES:
        assert re.search(r"Max core file size +0 +0 ", site.run(f"cat /proc/{site.show(unit, 'MainPID')}/limits"))


def test_own_authenticator(site):
    site.run(blocks(section("Under systemd", pages.DOC / "authenticators.md"))[0])
    # put our key in the place of the example's
    site.run(f"sed -i 's/545efb0a[0-9a-f]*/{site.public}/' /opt/own-authenticator/example.py")
    site.run("systemctl restart own-authenticator.service")
    site.login()
    assert site.show("authd.service", "ActiveState") == "inactive"
    in_each_order(site, "restart", ["authd.socket", "own-authenticator.service", "routerd.service"])
    site.reboot()
    site.login()
    assert site.show("authd.service", "ActiveState") == "inactive"


def test_back_to_authd(site):
    """Removes the example as its comments say."""
    conf = "/etc/systemd/system/authd.socket.d/own-authenticator.conf"
    typed = "\n".join(line.lstrip("# ") for line in site.run(f"cat {conf}").splitlines() if line.startswith("#     "))
    assert "authd.service" in typed
    site.run(f"rm {conf}\n{typed}")
    site.login()
    site.reboot()
    site.login()
    assert site.show("authd.service", "ActiveState") == "active"
    assert site.show("own-authenticator.service", "ActiveState") == "inactive"


def test_upgrade(site):
    site.run("echo '# mine' >>/etc/routerd/routerd.yaml")
    site.run(WHAT_IS_INSTALLED[0])
    assert site.run("tail -n 1 /etc/routerd/routerd.yaml") == "# mine\n"
    site.login()


def test_uninstall(site):
    assert "PREFIX" not in site.run(WHAT_IS_INSTALLED[1])
    for unit in SERVICES + ["authd.socket"]:
        assert site.show(unit, "ActiveState") != "active"
        assert site.show(unit, "LoadState") == "not-found"
    left = site.run("find /usr /etc -xdev -type f \\( -name 'routerd*' -o -name 'authd*' -o -name 'authctl*' -o -name 'wamp*' \\)"
                    " -newer /etc/machine-id")
    assert sorted(left.split()) == ["/etc/authd/authd.yaml", "/etc/routerd/routerd.yaml"], left
