# SPDX-License-Identifier: Apache-2.0
"""authctl: its output, its output formats and its exit codes."""

import contextlib
import json
import os
import pty
import re
import socket
import sqlite3
import struct
import subprocess
import fcntl
import termios
import threading

import msgpack
import nacl.signing
import pytest
import utils
from rpcclient import Rpc, RpcError, ask, router
from utils import Key

pytestmark = pytest.mark.single_threaded

AUTHID = "client01@example.com"
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 user@host"
ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILQ+1Z8NvGlj7/8KYlLokX4Lvom5iwK8AV+AI49lPFoC user@host"
# points of low order, one not canonical, one not on the curve, one with a component of low order
CANNOT_VERIFY = [
    "00" * 32, "01" + "00" * 31, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ec" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f", "02" + "00" * 31,
    "13661d745ad63221ca5da0456fa618713511dc60668aa464e55b09a20ff7fc1d",
]


@pytest.fixture
def ctl(authd):
    """ctl(*args, stdin="") -> (exit code, stdout, stderr)"""
    def run(*args, stdin="", **kw):
        done = subprocess.run(
            [str(utils.BUILD / "authd/authctl"), "--socket", "admin.sock", *map(str, args)],
            cwd=authd.cwd, env={**authd.env, "LC_ALL": "C.UTF-8"}, input=stdin, text=True,
            capture_output=True, timeout=20 * utils.SLOW, **kw)
        assert not utils.BAD_LOG.search(done.stderr), done.stderr
        return done.returncode, done.stdout, done.stderr
    return run


@pytest.fixture
def added(ctl):
    """client01 with a key."""
    key = Key()
    assert add(ctl, AUTHID, "--key", key.public)[0] == 0
    return key


def add(ctl, authid, *more):
    return ctl("principal", "add", authid, "--realm", "devices", "--role", "device", *more)


def items(ctl, *args):
    code, out, err = ctl("-o", "json", *args)
    assert code == 0, err
    answer = json.loads(out)
    assert set(answer) == {"version", "items"} and answer["version"] == 1
    return answer["items"]


def ssh_keygen(folder, name, kind="ed25519", passphrase=""):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", folder / name], check=True)
    listed = subprocess.run(["ssh-keygen", "-l", "-f", folder / f"{name}.pub"], check=True,
                            capture_output=True, text=True).stdout
    return listed.split()[1]


# --- principals -----------------------------------------------------------------------------


def test_add_and_show(ctl):
    key = Key()
    code, out, err = add(ctl, AUTHID, "--key", key.public, "--extra", '{"foo": 23, "bar": [1.5, null, "ü"]}')
    assert (code, out, err) == (0, f"added {AUTHID}\n", "")
    item, = items(ctl, "principal", "show", AUTHID)
    assert item.pop("created").endswith("Z")
    assert item["keys"][0].pop("fingerprint").startswith("SHA256:")
    assert item == {"authid": AUTHID, "realm": "devices", "role": "device", "disabled": False,
                    "extra": {"foo": 23, "bar": [1.5, None, "ü"]}, "keys": [{"pubkey": key.public}]}
    plain = dict(line.split("\t", 1) for line in ctl("principal", "show", AUTHID)[1].splitlines())
    assert plain["authid"] == AUTHID and plain["state"] == "enabled"
    assert json.loads(plain["extra"]) == item["extra"]
    assert plain["key"].startswith(key.public + "\tSHA256:")


def test_adding_again(ctl, added):
    again = AUTHID, "--key", added.public
    assert add(ctl, *again)[:2] == (0, f"{AUTHID} already exists\n")
    assert items(ctl, "principal", "add", AUTHID, "--realm", "devices", "--role", "device", "--key",
                 added.public) == [{"authid": AUTHID, "changed": False}]
    for more, complaint, remedy in (
        (("--role", "other"), "role", "principal remove"), (("--realm", "other"), "realm", "principal remove"),
        (("--disabled",), "disabled", "principal disable"), (("--extra", '{"a": 1}'), "extra", "principal remove"),
        (("--key", Key().public), "keys", "key add"),
    ):
        code, out, err = add(ctl, *again, *more)
        assert code == 65 and out == "" and complaint in err and f"authctl {remedy}" in err, err
    assert len(items(ctl, "principal", "list")) == 1


def test_a_key_belongs_to_one_principal(ctl, added):
    code, _, err = add(ctl, "other", "--key", added.public)
    assert code == 65 and AUTHID in err
    add(ctl, "other")
    code, _, err = ctl("key", "add", "other", added.public)
    assert code == 65 and AUTHID in err
    assert items(ctl, "principal", "show", "other")[0]["keys"] == []


def test_the_deepest_extra(ctl):
    deep = '{"a":' + "[" * 9 + "]" * 9 + "}"
    assert add(ctl, AUTHID, "--extra", deep)[0] == 0
    assert json.dumps(items(ctl, "principal", "list")[0]["extra"], separators=(",", ":")) == deep
    for depth in range(10, 20):
        code, _, err = add(ctl, "b", "--extra", '{"a":' + "[" * depth + "]" * depth + "}")
        assert code == 65 and "--extra has more than 10 levels of objects and arrays" in err


def test_the_largest_extra(ctl):
    """Too many bytes and too many keys are different errors."""
    most = json.dumps({f"{i:03}": i for i in range(256)})
    assert add(ctl, AUTHID, "--extra", most)[0] == 0
    code, _, err = add(ctl, "b", "--extra", json.dumps({f"{i:03}": i for i in range(257)}))
    assert code == 65 and "--extra has an object with more than 256 keys" in err
    code, _, err = add(ctl, "b", "--extra", json.dumps({"a": ["x" * 8192]}))
    assert code == 65 and "--extra is larger than 8192 bytes" in err


def test_extra_from_a_file(ctl, authd):
    (authd.cwd / "extra.json").write_text('{"from": "file"}\n')
    add(ctl, "a", "--extra", "@extra.json")
    assert items(ctl, "principal", "show", "a")[0]["extra"] == {"from": "file"}
    assert add(ctl, "b", "--extra", "@nowhere.json")[0] == 66


@pytest.mark.parametrize("extra", [
    "", "[1]", "1", "null", "{", '{"a": 1} x', '{"a": 1, "a": 2}', "{'a': 1}", '{"a": 1e999}',
    '{"a": "\\u0000x"}', '{"a": "' + "x" * 9000 + '"}', "[" * 100, '{"a": ' + "[" * 30 + "]" * 30 + "}",
])
def test_bad_extra(ctl, extra):
    code, out, err = add(ctl, AUTHID, "--extra", extra)
    assert code == 65 and out == "" and err, (code, err)
    assert items(ctl, "principal", "list") == []


BAD_NAMES = {
    "": "must not be empty",
    "x" * 256: "must have at most 255 bytes",
    "a\nb": "must not contain control characters",
    "a\tb": "must not contain control characters",
    "\x7f": "must not contain control characters",
    "a\u0085b": "must not contain control characters",
    "a\u009b2Jb": "must not contain control characters",
    "a\u2028b": "must not contain control characters",
    "a\u202eb": "must not contain control characters",
    "a\u2066b": "must not contain control characters",
    "\ufeffa": "must not contain control characters",
    "a\udcff": "must be UTF-8",
}
BAD_REALMS = {
    **BAD_NAMES,
    "a b": "must not contain white space",
    "a\u00a0b": "must not contain white space",
    "a#b": "must not contain '#'",
    "a..b": "must not have an empty component between dots",
    ".a": "must not have an empty component between dots",
    "a.": "must not have an empty component between dots",
}


@pytest.mark.parametrize("what, name, complaint", [
    *(("authid", name, text) for name, text in BAD_NAMES.items()),
    *(("role", name, text) for name, text in BAD_NAMES.items()),
    *(("realm", name, text) for name, text in BAD_REALMS.items()),
])
def test_bad_names(ctl, authd, what, name, complaint):
    """The complaint is one sentence that names the value and its fault. authd refuses these names,
    too."""
    given = {"authid": "a", "realm": "r", "role": "r", what: name}
    code, out, err = ctl("principal", "add", given["authid"], "--realm", given["realm"], "--role", given["role"])
    assert (code, out) == (65, "") and err.count("\n") == 1
    assert err.startswith(f'authctl principal add: {what} "') and err.endswith(f": {complaint}\n"), err
    if "\udcff" not in name:
        with pytest.raises(RpcError):
            Rpc(authd.cwd / "admin.sock").call("principal.add", given)
    assert items(ctl, "principal", "list") == []


@pytest.mark.parametrize("args", [
    ("principal", "show", "{}"), ("principal", "disable", "{}"), ("principal", "enable", "{}"),
    ("principal", "remove", "{}"), ("key", "add", "{}", "00" * 32), ("key", "remove", "{}", "00" * 32),
    ("key", "remove", "{}", "SHA256:x"), ("principal", "list", "--realm", "{}"), ("principal", "list", "--role", "{}"),
])
def test_names_that_no_principal_can_have(ctl, args):
    for name, complaint in (("", "must not be empty"), ("x" * 256, "must have at most 255 bytes")):
        code, out, err = ctl(*(arg.replace("{}", name) for arg in args))
        assert (code, out) == (65, "") and complaint in err, err


def test_names_from_before_the_rules(ctl, authd):
    """Names stored by older versions may hold characters that are refused today. They can be listed
    in full, without harm to the terminal, and removed."""
    add(ctl, "new")
    db = sqlite3.connect(authd.cwd / "authd.db")
    old = "a\u009b2J\u202eb"
    db.execute("UPDATE principal SET authid = ?", (old,))
    db.commit()
    db.close()
    lines = on_terminal(authd, 80, "principal", "list") + on_terminal(authd, 80, "principal", "show", old)
    shown = "a\\xc2\\x9b2J\\xe2\\x80\\xaeb"
    assert sum(shown in line for line in lines) == 2 and not any("\u009b" in line for line in lines), lines
    assert items(ctl, "principal", "list")[0]["authid"] == old
    assert ctl("principal", "remove", old)[0] == 0


def test_missing_realm_and_role(ctl):
    assert ctl("principal", "add", "a", "--realm", "r")[0] == 64
    assert ctl("principal", "add", "--realm", "r", "--role", "r")[0] == 64
    assert ctl("principal", "add", "a", "b", "--realm", "r", "--role", "r")[0] == 64


def test_list(ctl):
    for i in range(3):
        ctl("principal", "add", f"c{i}", "--realm", f"realm{i % 2}", "--role", "r", "--key", Key().public)
    code, out, _ = ctl("principal", "list")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and [r[0] for r in rows] == ["c0", "c1", "c2"]
    assert all(len(r) == 6 and r[3] == "enabled" and len(r[4]) == 64 for r in rows)
    assert [i["authid"] for i in items(ctl, "principal", "list", "--realm", "realm0")] == ["c0", "c2"]
    assert items(ctl, "principal", "list", "--role", "other") == []
    assert ctl("principal", "list", "--realm", "nowhere")[:2] == (0, "")


def test_a_long_list_comes_in_pages(ctl, authd):
    admin = Rpc(authd.cwd / "admin.sock")
    names = sorted(f"client{i:04}" for i in range(1200))
    for name in names:
        admin.call("principal.add", {"authid": name, "realm": "r", "role": "x" if name < "client0900" else "y"})
    assert [i["authid"] for i in items(ctl, "principal", "list")] == names
    # a page without a match does not end the list
    assert len(items(ctl, "principal", "list", "--role", "y")) == 300
    large = {"blob": "x" * 8000}
    for i in range(20):
        admin.call("principal.add", {"authid": f"large{i}", "realm": "r", "role": "l", "extra": large})
    assert len(items(ctl, "principal", "list", "--role", "l")) == 20


def test_disable_enable_remove(ctl, added, authd):
    rpc = router(authd.cwd / "authd.sock")
    requests = []

    def answer(sessions, pending):
        def run():
            request = rpc.request()
            requests.append(request)
            rpc.reply(request[1], {"sessions": sessions, "pending": pending})
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    t = answer(3, 0)
    assert ctl("principal", "disable", AUTHID)[:2] == (
        0, f"disabled {AUTHID}; ended 3 sessions on 1 router\n")
    t.join()
    assert items(ctl, "principal", "show", AUTHID)[0]["disabled"] is True
    t = answer(1, 2)
    assert ctl("principal", "disable", AUTHID)[:2] == (
        0, f"{AUTHID} is already disabled; ended 1 session on 1 router, refused 2 logins\n")
    t.join()
    assert ctl("principal", "enable", AUTHID)[:2] == (0, f"enabled {AUTHID}\n")
    assert ctl("principal", "enable", AUTHID)[:2] == (0, f"{AUTHID} is already enabled\n")
    assert ask(rpc, added.public)["authid"] == AUTHID
    t = answer(0, 0)
    assert items(ctl, "principal", "remove", AUTHID) == [
        {"authid": AUTHID, "changed": True, "sessions": 0, "pending": 0, "routers": 1, "unreachable": 0}]
    t.join()
    code, out, err = ctl("principal", "remove", AUTHID)
    assert code == 67 and out == "" and AUTHID in err
    # the epoch rises with every change that takes access away
    assert [r[3][0]["epoch"] for r in requests] == [2, 2, 3]


def test_no_router(ctl, added):
    assert ctl("principal", "disable", AUTHID)[:2] == (
        0, f"disabled {AUTHID}; no router is connected\n")


def test_a_router_that_does_not_confirm(ctl, added, authd):
    router(authd.cwd / "authd.sock", features=[])
    rpc = router(authd.cwd / "authd.sock", features=[])
    code, out, err = ctl("principal", "disable", AUTHID)
    assert code == 75 and "no answer from" in out and "confirmed" in err
    assert items(ctl, "principal", "show", AUTHID)[0]["disabled"] is True
    rpc.close()


@pytest.mark.parametrize("what", ["principal", "key"])
def test_a_removal_can_be_repeated(ctl, added, authd, what):
    """Repeating it asks the routers again until all have confirmed. An unknown name is reported as
    such."""
    command = ("principal", "remove", AUTHID) if what == "principal" else ("key", "remove", AUTHID, added.public)
    match = {"authid": AUTHID, "realm": "devices"} if what == "principal" else {"pubkey": added.public}
    rpc = router(authd.cwd / "authd.sock")

    def remove(*answer):
        """authctl's result; the router gives this answer to the revoke."""
        def run():
            request = rpc.request()
            assert request[3][0]["match"] == match
            rpc.reply(request[1], *answer)
        thread = threading.Thread(target=run)
        thread.start()
        done = ctl(*command)
        thread.join()
        return done

    for expected in ("removed", "is already removed" if what == "principal" else "has no such key"):
        code, out, err = remove(None, {"kind": "internal"})
        assert code == 75 and expected in out and "no answer from 1 router" in out
    if what == "key":
        assert ctl("key", "remove", AUTHID, Key().public)[0] == 67
    assert ctl("principal", "remove", "client99@example.com")[0] == 67
    code, out, err = remove({"sessions": 2})
    assert code == 0 and "ended 2 sessions on 1 router" in out, (code, out, err)
    assert ctl(*command)[0] == 67


def test_a_key_that_is_not_there(ctl):
    """The text tells a principal without this key from a principal that does not exist."""
    ctl("principal", "add", AUTHID, "--realm", "r", "--role", "r", "--key", Key().public)
    code, _, err = ctl("key", "remove", AUTHID, Key().public)
    assert code == 67 and "no such key" in err, err
    code, _, err = ctl("key", "remove", "client99@example.com", Key().public)
    assert code == 67 and "client99@example.com: no such principal" in err, err


def test_removals_that_can_be_repeated_are_bounded(ctl, authd):
    # without "revoke" the router cannot confirm
    rpc = router(authd.cwd / "authd.sock", features=[])
    admin = Rpc(authd.cwd / "admin.sock")
    for i in range(65):
        admin.call("principal.add", {"authid": f"c{i}", "realm": "r", "role": "r"})
        assert admin.call("principal.remove", {"authid": f"c{i}"})["unreachable"] == 1
    for _ in range(2):  # a retry does not forget the removal
        assert [ctl("principal", "remove", f"c{i}")[0] for i in (0, 1, 64)] == [67, 75, 75]
    rpc.close()


def test_unknown_principals(ctl):
    for command in ("show", "disable", "enable", "remove"):
        code, out, err = ctl("principal", command, "nobody")
        assert (code, out) == (67, "") and "nobody" in err
    for command in ("add", "remove"):
        assert ctl("key", command, "nobody", Key().public)[0] == 67


# --- keys -----------------------------------------------------------------------------------


def test_forms_of_a_key(ctl, authd):
    fingerprint = ssh_keygen(authd.cwd, "k")
    text = (authd.cwd / "k.pub").read_text()
    public, _ = ctl("key", "show", "k.pub")[1].split()
    (authd.cwd / "hex").write_text(f"0x{public.upper()}\n")
    add(ctl, AUTHID)
    for form in (text, text.strip(), " ".join(text.split()[:2]), "k.pub", "hex", public, f"0x{public}",
                 public.upper()):
        assert ctl("key", "add", AUTHID, form)[0] == 0, form
    assert ctl("key", "add", AUTHID, "-", stdin=text)[0] == 0
    keys = items(ctl, "principal", "show", AUTHID)[0]["keys"]
    assert keys == [{"pubkey": public, "fingerprint": fingerprint}]


def test_keys_that_are_refused(ctl, authd):
    ssh_keygen(authd.cwd, "ed")
    ssh_keygen(authd.cwd, "rsa", "rsa")
    ssh_keygen(authd.cwd, "ec", "ecdsa")
    (authd.cwd / "raw").write_bytes(os.urandom(32))
    (authd.cwd / "empty").write_text("")
    (authd.cwd / "large").write_bytes(b"x" * 20000)
    add(ctl, AUTHID)
    for arg, complaint in (
        ("rsa.pub", "RSA"), (RSA, "RSA"), ("ec.pub", "ECDSA"), ("ed", "private key"), ("raw", "private key"),
        ("empty", "not a public key"), ("large", "larger"),
        ("ssh-ed25519 AAAA", "damaged"), ("nowhere", "neither"), (".", ""), ("", "is empty"),
        (f'no-pty,command="x y" {ED}', "options"), (f"host {ED}", "before"),
        (ED.split()[1], "'ssh-ed25519 '"), ("ssh-ed25519", "damaged"),
        ("ab" * 31, "64 hex digits"), ("ab" * 33, "64 hex digits"), ("0x" + "ab" * 16, "64 hex digits"),
        ("ab" * 64, "only the last 64"), ("0x" + "AB" * 64, "only the last 64"),
        *((point, "cannot verify signatures") for point in CANNOT_VERIFY),
    ):
        code, out, err = ctl("key", "add", AUTHID, arg)
        assert code in (65, 66) and out == "" and complaint in err, (arg, code, err)
        assert err.count("\n") == 1 and (len(arg) < 32 or arg not in err), err
        assert add(ctl, "b", "--key", arg)[2] == err.replace("key add", "principal add")
    for point in CANNOT_VERIFY:  # authd refuses them, too
        for method in ("key.add", "principal.add"):
            with pytest.raises(RpcError):
                Rpc(authd.cwd / "admin.sock").call(
                    method, {"authid": AUTHID, "realm": "devices", "role": "device", "keys": [point]})
    assert items(ctl, "principal", "list")[0]["keys"] == [] and len(items(ctl, "principal", "list")) == 1
    assert ctl("key", "add", AUTHID, *ED.split())[0] == 64
    assert "quotes" in ctl("key", "add", AUTHID, *ED.split())[2]
    # authctl does not repeat a secret that was given by mistake
    secret = (authd.cwd / "ed").read_text()
    for args in ((secret,), ("--", secret), ("-", secret)):
        code, _, err = ctl("key", "add", AUTHID, *args)
        assert code in (64, 65) and secret.splitlines()[1] not in err
    assert "private key" in ctl("key", "add", "--", AUTHID, secret)[2]


def test_too_many_keys(ctl):
    keys = [Key().public for _ in range(17)]
    assert add(ctl, AUTHID, *(a for k in keys for a in ("--key", k)))[0] == 64
    assert add(ctl, AUTHID, *(a for k in keys[:16] for a in ("--key", k)))[0] == 0
    code, _, err = ctl("key", "add", AUTHID, keys[16])
    assert code == 65 and "already has 16 keys, the maximum" in err


def test_key_remove(ctl, added):
    second = Key()
    ctl("key", "add", AUTHID, second.public)
    prints = {k["pubkey"]: k["fingerprint"] for k in items(ctl, "principal", "show", AUTHID)[0]["keys"]}
    assert ctl("key", "remove", AUTHID, "SHA256:wrong")[0] == 67
    assert ctl("key", "remove", AUTHID, Key().public)[0] == 67
    code, out, _ = ctl("key", "remove", AUTHID, prints[second.public])
    assert code == 0 and out == f"removed a key from {AUTHID}; no router is connected\n"
    assert [k["pubkey"] for k in items(ctl, "principal", "show", AUTHID)[0]["keys"]] == [added.public]


def test_gen(ctl, authd):
    code, out, _ = ctl("key", "gen", "-f", "a.key")
    public, fingerprint = out.split()
    file = authd.cwd / "a.key"
    assert code == 0 and file.stat().st_mode & 0o777 == 0o600
    seed = file.read_bytes()
    assert len(seed) == 32
    assert nacl.signing.SigningKey(seed).verify_key.encode().hex() == public
    code, out, err = ctl("key", "gen", "-f", "a.key")
    assert code == 73 and out == "" and "--force" in err
    assert file.read_bytes() == seed
    assert ctl("key", "gen", "-f", "a.key", "--force")[0] == 0
    assert file.read_bytes() != seed and file.stat().st_mode & 0o777 == 0o600
    assert ctl("key", "gen", "-f", "no/such/folder/key")[0] == 73
    assert ctl("key", "gen")[0] == 64
    assert ctl("key", "gen", "-f", "b", "--format", "pem")[0] == 64
    assert sorted(p.name for p in authd.cwd.glob("*key*")) == ["a.key"]


def test_gen_for_autobahn(ctl, authd):
    from autobahn.wamp import cryptosign  # imported here because it is slow
    public = ctl("key", "gen", "-f", "a.key")[1].split()[0]
    loader = getattr(cryptosign.CryptosignKey, "from_file", None) or cryptosign.CryptosignKey.from_bytes
    assert loader(str(authd.cwd / "a.key")).public_key() == public


def test_gen_for_openssh(ctl, authd):
    fingerprint = ctl("key", "gen", "-f", "a.key", "--format", "openssh")[1].split()[1]
    public, shown = ctl("key", "show", "a.key")[1].split()
    assert shown == fingerprint
    derived = subprocess.run(["ssh-keygen", "-y", "-f", authd.cwd / "a.key"], check=True,
                             capture_output=True, text=True).stdout
    assert ctl("key", "show", "-", stdin=derived)[1].split() == [public, fingerprint]


def test_show(ctl, authd):
    fingerprint = ssh_keygen(authd.cwd, "k")
    shown = {ctl("key", "show", name)[1] for name in ("k", "k.pub")}
    assert len(shown) == 1 and shown.pop().split()[1] == fingerprint
    item, = items(ctl, "key", "show", "k")
    assert item["type"] == "private" and item["format"] == "openssh" and item["fingerprint"] == fingerprint
    ssh_keygen(authd.cwd, "e", passphrase="secret")
    code, _, err = ctl("key", "show", "e")
    assert code == 65 and "encrypted" in err
    assert ctl("key", "show", "nowhere")[0] == 66
    assert ctl("key", "show", ".")[0] == 66


# --- forms of output, errors, arguments -----------------------------------------------------


def test_errors_in_json(ctl, added):
    code, out, err = ctl("-o", "json", "principal", "show", "nobody")
    assert code == 67 and out == ""
    error = json.loads(err)["error"]
    assert error["code"] == 67 and error["uri"] == "auth.admin.no_such_principal" and "nobody" in error["message"]
    code, _, err = ctl("-o", "json", "principal", "show")
    assert code == 64 and json.loads(err)["error"]["code"] == 64


def on_terminal(authd, columns, *args):
    """authctl's output on a terminal of this width."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {k: v for k, v in authd.env.items() if k != "COLUMNS"}
    process = subprocess.Popen(
        [str(utils.BUILD / "authd/authctl"), "--socket", "admin.sock", *args], cwd=authd.cwd,
        env={**env, "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, stdout=its)
    os.close(its)
    out = b""
    try:
        while data := os.read(ours, 65536):
            out += data
    except OSError:
        pass  # how a terminal reports its end
    os.close(ours)
    assert process.wait(10 * utils.SLOW) == 0
    return out.decode().splitlines()


def test_table_fits_the_terminal(ctl, authd):
    ctl("principal", "add", "ä" * 100, "--realm", "devices", "--role", "r" * 60, "--key", Key().public)
    ctl("principal", "add", "b", "--realm", "devices", "--role", "r", "--disabled")
    for width in (60, 80, 200, 300):
        lines = on_terminal(authd, width, "principal", "list")
        assert lines[0].split() == ["AUTHID", "REALM", "ROLE", "STATE", "KEYS", "CREATED"]
        # an authid that is too long for its column has its own line
        apart = "ä" * 100 in lines
        assert apart == (width < 200) and len(lines) == (4 if apart else 3)
        assert all(len(line) <= width for line in lines if line != "ä" * 100)
        assert sum("ä" * 100 in line for line in lines) == 1
        assert len({line.find(word) for line in lines for word in ("enabled", "disabled", "STATE")} - {-1}) == 1
    lines = on_terminal(authd, 80, "principal", "list", "-o", "plain")
    assert lines[0].startswith("b\t")


def test_closed_and_full_output(ctl, added):
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(utils.BUILD / "authd/authctl"), "--version"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74 and "No space" in done.stderr


def test_table_of_ordinary_principals(ctl, authd):
    """80 columns are enough for ordinary principals: nothing is cut."""
    for authid in (AUTHID, "building-7.floor-2.sensor-0123", "x"):
        assert ctl("principal", "add", authid, "--realm", "devices", "--role", "device")[0] == 0
    lines = on_terminal(authd, 80, "principal", "list")
    assert len(lines) == 4 and all(len(line) <= 80 and "~" not in line for line in lines)
    for line in lines[1:]:
        authid, realm, role, state, keys, created = line.split()
        assert (realm, role, state, keys) == ("devices", "device", "enabled", "0")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", created)


@pytest.mark.parametrize("args, hint", [
    ((), "a command is missing"),
    (("help",), "authctl --help"),
    (("version",), "authctl --version"),
    (("principal",), "needs a verb: add, list, show, disable, enable, remove"),
    (("key",), "needs a verb: add, remove, gen, show"),
    (("principal", "help"), "the verbs of 'principal' are: add, list"),
    (("principal", "fly"), "the verbs of 'principal' are: add, list"),
    (("principal", "rm", "a"), "did you mean 'principal remove'?"),
    (("principal", "delete", "a"), "did you mean 'principal remove'?"),
    (("principal", "ls"), "did you mean 'principal list'?"),
    (("principal", "create", "a"), "did you mean 'principal add'?"),
    (("key", "rm", "a"), "did you mean 'key remove'?"),
    (("key", "generate"), "did you mean 'key gen'?"),
    (("key", "ls"), "the verbs of 'key' are: add, remove"),
    (("ls",), "'principal list'"),
    (("rm", "a"), "'principal remove'"),
    (("show", "a"), "'principal show'"),
    (("gen",), "'key gen'"),
    (("list", "principal"), "'principal list'"),
    (("users", "list"), "neither 'principal' nor 'key'"),
    (("principals", "list"), "neither 'principal' nor 'key'"),
    (("principal", "show"), "AUTHID is missing"),
    (("principal", "add", "--realm", "r", "--role", "r"), "AUTHID is missing"),
    (("principal", "show", "a", "b"), "expected AUTHID, but got 2 arguments"),
    (("key", "add"), "AUTHID and KEY are missing"),
    (("key", "add", "a"), "KEY is missing"),
    (("key", "show"), "FILE is missing"),
    (("key", "gen", "x"), "expected no arguments, but got 1 argument"),
    (("principal", "list", "x", "y"), "expected no arguments, but got 2 arguments"),
    (("--timeout", "1h", "principal", "list"), "at most 3600s"),
    (("--timeout", "3601", "principal", "list"), "at most 3600s"),
    (("--timeout", "3600001ms", "principal", "list"), "at most 3600s"),
    (("--timeout", "18446744073709551616", "principal", "list"), "at most 3600s"),
    (("--socket", "", "principal", "list"), "--socket"),
    (("--socket", "x" * 108, "principal", "list"), "at most 107"),
])
def test_hints(ctl, args, hint):
    code, out, err = ctl(*args)
    assert code == 64 and out == "" and hint in err and "--help" in err, err


def test_the_longest_timeout(authd, ctl):
    for text in ("3600", "3600s", "3600000ms"):
        assert ctl("--timeout", text, "principal", "list")[0] == 0


def test_usage(ctl):
    for args in ((), ("principal",), ("principal", "fly"), ("principal", "list", "--what"), ("-x",),
                 ("principal", "list", "x"), ("key", "add", "a"), ("-o", "xml", "principal", "list"),
                 ("--timeout", "soon", "principal", "list"), ("--timeout",), ("principal", "add", "a", "--realm")):
        code, out, err = ctl(*args)
        assert code == 64 and out == "" and "--help" in err, args


def test_help(ctl):
    code, out, err = ctl("--help")
    assert code == 0 and err == "" and "Exit codes" in out
    commands = [line.split()[1:3] for line in out.splitlines() if line.startswith("  authctl ")]
    assert len(commands) == 10
    for noun, verb in commands:
        code, out, err = ctl(noun, verb, "--help")
        assert code == 0 and err == "" and "Example:" in out and "Exit codes" in out
        assert all(len(line) <= 80 for line in out.splitlines()), out
    for args in (("principal", "--help"), ("key", "-h")):
        assert ctl(*args) == ctl("--help")
    assert ctl("--version")[1].startswith("authctl ")
    for command in (("principal", "add"), ("key", "add"), ("key", "show")):
        assert "private key (seed)" in " ".join(ctl(*command, "--help")[1].split())


def test_options_may_follow(ctl, added):
    assert ctl("principal", "show", AUTHID, "-o", "json")[0] == 0
    assert ctl("principal", "show", "-o", "json", AUTHID, "--timeout", "2s")[0] == 0


def test_no_authd(authd, ctl):
    code, _, err = ctl("--socket", "nowhere.sock", "principal", "list")
    assert code == 69 and "nowhere.sock" in err
    authd.stop()
    assert ctl("principal", "list")[0] == 69


def test_an_authd_that_does_not_answer(ctl, authd):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(authd.cwd / "silent.sock"))
    listener.listen(1)
    code, _, err = ctl("--socket", "silent.sock", "--timeout", "100ms", "principal", "list")
    assert code == 75 and "within 100 ms" in err and "made" not in err  # a list changes nothing
    code, _, err = ctl("--socket", "silent.sock", "--timeout", "100ms", "principal", "remove", "a")
    assert code == 75 and "a change may have been made" in err


WRONG_ANSWERS = {
    "garbage": (lambda i: b"\xc1" * 10, 70),
    "huge": (lambda i: b"\x94\x01" + bytes([i]) + b"\xc0\xdb\xff\xff\xff\xff" + bytes(65536), 70),
    "number": (lambda i: msgpack.packb([1, i, None, 7]), 70),
    "to_nothing": (lambda i: msgpack.packb([1, i + 1, None, {"items": []}]), 75),
    "a_question": (lambda i: msgpack.packb([0, 1, "hello", []]), 70),
    "more_than_asked": (lambda i: msgpack.packb([1, i, None, {"items": []}]) + b"\xc1", 0),
    "the_same_page": (lambda i: msgpack.packb([1, i, None, {"items": [], "next": "same"}]), 70),
}


@pytest.mark.parametrize("how", WRONG_ANSWERS)
def test_an_authd_that_answers_wrongly(ctl, authd, how):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(authd.cwd / "wrong.sock"))
    listener.listen(1)
    answer, expected = WRONG_ANSWERS[how]

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                peer.sendall(answer(msgpack.unpackb(peer.recv(65536))[1]))
                peer.recv(1)

    server = threading.Thread(target=serve)
    server.start()
    try:
        code, _, err = ctl("--socket", "wrong.sock", "--timeout", "1s", "principal", "list")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join()
    assert code == expected and err.count("\n") == (code != 0), err


def test_other_users_are_refused(start_authd, folder):
    authd = start_authd({"admin": {"path": "admin.sock", "allow_users": ["nobody"]}})
    code, _, err = authd.ctl("principal", "list", ok=False)
    assert code == 77 and "user" in err
