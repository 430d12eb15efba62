# SPDX-License-Identifier: Apache-2.0
"""Runs what README.md and etc/doc show, with only ports and keys changed.

Other files run the rest: test_boot.py the commands for systemd, test_kit_routerd.py the authenticator, test_demo.py the demo.
"""

import contextlib
import os
import re
import shlex
import subprocess

import pages
import peers
import pytest
import utils
from certificates import authority, tls_config  # noqa: F401
from pages import blocks, example, examples, section
from rawclient import ABORT, CALL, ERROR, PUBLISH, REGISTER, SUBSCRIBE

PAGES = [pages.README, *sorted(pages.DOC.glob("*.md"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture
def authd(start_authd):
    """authd with the README's principal. authctl makes its key, as the README says."""
    authd = start_authd()
    gen, add = blocks(section("Add a principal"))[0].split("\n", 1)
    authd.public = re.search("[0-9a-f]{64}", typed(authd, gen)).group()
    typed(authd, re.sub("--key [0-9a-f]{64}", f"--key {authd.public}", add))
    return authd


@pytest.fixture
def router(authd, start_routerd):
    return start_routerd()


def typed(authd, commands):
    """Runs commands in a shell in which authctl connects to this authd, and returns what they print."""
    program = shlex.join([*utils.tsan_prefix(), str(utils.BUILD / "authd/authctl")])
    script = f'set -e; authctl() {{ {program} --socket admin.sock "$@"; }}\n{commands}'
    done = subprocess.run(["bash", "-c", script], cwd=authd.cwd, env=authd.env, capture_output=True, text=True,
                          timeout=60 * utils.SLOW)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def running(argv, folder, expect, log_name, env=None):
    """Starts a program, waits until it prints `expect`, and ends it at the end of the with block."""
    log_path = folder / log_name
    with open(log_path, "wb") as log:
        process = subprocess.Popen([str(a) for a in argv], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, **(env or {})})
    try:
        utils.wait_for(lambda: re.search(expect, log_path.read_text()) or process.poll() is not None, expect, 20)
        assert re.search(expect, log_path.read_text()), log_path.read_text()
        yield
    finally:
        process.kill()
        process.wait()


def python_client(router, folder):
    text = example("python", "Connect from Python").replace("localhost:8080", f"127.0.0.1:{router.port()}")
    (folder / "client.py").write_text(text)
    return running(["/usr/bin/python3", "-u", "client.py"], folder,
                   r"joined client01@example.com device .*'foo': 23(.|\n)*2 \+ 3 = 5", "python.log")


def javascript_client(router, folder, expect, authid="client01@example.com"):
    text = (example("js", "Connect from JavaScript").replace("localhost:8080", f"127.0.0.1:{router.port()}")
            .replace("client01@example.com", authid))
    (folder / "client.js").write_text(text)
    return running(["node", "client.js"], folder, expect, "js.log", env={"NODE_PATH": str(peers.CLIENTS / "node_modules")})


def test_python(router, folder):
    with python_client(router, folder):
        pass


def test_javascript(router, folder):
    with javascript_client(router, folder, r"joined client01@example.com device \{(.|\n)*foo: 23(.|\n)*event: hello"):
        pass


@pytest.fixture
def tls_router(authd, authority, start_routerd, folder):
    """A router that knows client01 by its key and by its certificate."""
    authority.make("client01-tls")
    fingerprint = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", "client01-tls.pem"], cwd=folder,
                                 capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
    tls = {**authority.server(), "ca_certificates": ["ca.pem"], "client_certificates": "optional"}
    config = tls_config(authority, tls)
    config["transports"][0]["options"] = {"compression": True}
    config["transports"][0]["auth"]["tls"] = {"type": "static", "principals": {"client01@example.com": {
        "role": "device", "realm": "devices", "certificate-sha256": [fingerprint]}}}
    return start_routerd(config)


JOINED = """
@component.on_join
async def joined(session, details):
    print("joined", details.authid, details.authmethod, session._transport.websocket_extensions_in_use)

run([component])
"""


def over_tls(language):
    return examples(language, "Over TLS", pages.DOC / "clients.md")


def example_at(router, text):
    """An example that connects to this router."""
    return text.replace("router.example.com", "localhost").replace("443", str(router.port()))


def test_python_over_tls(tls_router, authority, folder):
    (folder / "client.py").write_text("from autobahn.twisted.component import Component, run\n"
                                      + example_at(tls_router, over_tls("python")[0]) + JOINED)
    with running(["/usr/bin/python3", "-u", "client.py"], folder,
                 "joined client01@example.com cryptosign .PerMessageDeflate", "python.log"):
        assert "binding=tls-unique" in tls_router.log()


@pytest.mark.parametrize("framework", ["twisted", "asyncio"])
def test_python_shows_a_certificate(tls_router, authority, folder, framework):
    component, twisted, asyncio, session = over_tls("python")
    # Component of Debian's Autobahn does not run on asyncio
    python = peers.VENV if framework == "asyncio" else "/usr/bin/python3"
    transports = re.search(r"transports=(\[\{.*?\n    \}\])", component, re.S).group(1)
    transports = re.sub(r'"tls": \{.*?\}', '"tls": tls', transports)
    text = (f"import ssl\nfrom autobahn.{framework}.component import Component, run\n"
            f"from autobahn.{framework}.wamp import ApplicationSession\n"
            + component.split("\ncomponent = ")[0] + "\n" + (twisted if framework == "twisted" else asyncio)
            + session.replace("[...]", transports) + JOINED)
    (folder / "client.py").write_text(example_at(tls_router, text))
    with running([python, "-u", "client.py"], folder, "joined client01@example.com tls .PerMessageDeflate", "python.log"):
        pass


def test_javascript_shows_a_certificate(tls_router, folder):
    text = re.sub("authmethods:.*?sign_challenge.*?,\n", lambda _: over_tls("js")[0], example("js", "Connect from JavaScript"),
                     flags=re.S)
    text = text.replace("ws://localhost:8080", f"wss://localhost:{tls_router.port()}")
    (folder / "client.js").write_text('const fs = require("fs");\n' + text)
    with running(["node", "client.js"], folder, "joined client01@example.com device", "js.log",
                 env={"NODE_PATH": str(peers.CLIENTS / "node_modules")}):
        assert "authmethod=tls" in tls_router.log()


def test_javascript_says_why_it_was_refused(router, folder):
    with javascript_client(router, folder, r"closed: closed com.example.\S+ \w+", authid="somebody@example.com"):
        pass


def test_an_access_ends(authd, router, folder):
    command, output = blocks(section("Add a principal"))[1].splitlines()
    with python_client(router, folder):
        assert typed(authd, command).strip() == output.replace("3 sessions", "1 session")


def test_keys_are_replaced(authd, router, folder):
    printed = typed(authd, blocks(section("Keys", pages.DOC / "principals.md"))[0])
    new = re.search("[0-9a-f]{64}", printed).group()
    assert re.findall(r"^key\t([0-9a-f]{64})\t", printed, re.M) == [new] != [authd.public]
    (folder / "client01.new.key").rename(folder / "client01.key")
    with python_client(router, folder):
        pass


def test_principals_are_removed(authd, router, folder):
    printed = typed(authd, blocks(section("End access", pages.DOC / "principals.md"))[0])
    assert [line.split()[0] for line in printed.splitlines()] == ["disabled", "enabled", "removed"], printed


def test_a_configuration_is_checked(folder):
    command, output = blocks((pages.DOC / "configuration.md").read_text())[0].splitlines()
    good = (utils.ROOT / "etc/demo/routerd.yaml").read_text()
    (folder / "routerd.yaml").write_text(good.replace("allow: {", "alow: {"))
    argv = command.split()
    program = [*utils.tsan_prefix(), utils.BUILD / "routerd" / argv[0]]
    done = subprocess.run([*program, *argv[1:]], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, **utils.sanitizer_env()}, timeout=60)
    assert done.returncode == 78 and done.stderr.strip() == output, done.stderr


def anchors(page):
    """The names by which links refer to the headings of a page."""
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            for title in re.findall("^#+ (.*)$", page.read_text(), re.M)}


@EVERY_PAGE
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        to = page.parent / path if path else page
        assert to.is_file(), target
        assert not anchor or anchor in anchors(to), target


@EVERY_PAGE
def test_what_is_named_is_there(page):
    text = page.read_text()
    for path in re.findall(r"`((?:etc|proto|common|routerd|authd|tests)/[^` ]*)`", text):
        assert (utils.ROOT / path).exists(), path
    makefile = (utils.ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake (?!-)([a-z-]+)", "\n".join(re.findall("`[^`]*`", text) + blocks(text))):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_page_is_found_from_the_readme():
    text = pages.README.read_text()
    for page in PAGES[1:]:
        assert f"(etc/doc/{page.name})" in text


FEATURES = {
    "event_retention": "retained events",
    "publication_trustlevels": "publication and call trust levels",
    "call_trustlevels": "publication and call trust levels",
    "pattern_based_subscription": "pattern-based subscriptions",
    "pattern_based_registration": "pattern-based registrations",
    "shared_registration": "shared registrations",
    "subscriber_blackwhite_listing": "subscriber black- and whitelisting",
    "call_reroute": "call re-routing",
    "testament_meta_api": "testaments",
}


def test_clients_md_names_every_feature_that_welcome_announces(routerd, join):
    """test_feature_table.py does the same for the table of features."""
    roles = join(routerd).details["roles"]
    page = section("Transports, serializers and features", pages.DOC / "clients.md")
    listed = " ".join(page.split()).lower()
    for feature in sorted({f for role in roles.values() for f in role["features"]}):
        name = FEATURES.get(feature, feature.replace("_", " "))
        assert re.search(rf"\b{name}\b", listed), name


MESSAGES = {"match": [SUBSCRIBE, REGISTER], "invoke": [REGISTER], "get_retained": [SUBSCRIBE], "disclose_caller": [REGISTER],
            "force_reregister": [REGISTER], "concurrency": [REGISTER], "timeout": [CALL], "receive_progress": [CALL],
            "progress": [CALL], "disclose_me": [CALL, PUBLISH]}


def wrong_options():
    """(the option, a message that may have it, whether the session ends), from the table in clients.md"""
    lines = section("Wrong values and broken messages", pages.DOC / "clients.md").splitlines()
    ends = {line: "session ends" in line for line in lines if line.startswith("| `") and "CANCEL" not in line}
    assert sorted(ends.values()) == [False, True]
    for line, end in ends.items():
        for name in re.findall(r"`([a-z_]+(?:\.\.\.)?)`", line.split("|")[1]):
            names = {"eligible...": ["eligible", "eligible_authid"], "exclude...": ["exclude", "exclude_authrole"],
                     "ppt_...": ["ppt_scheme", "ppt_keyid"], "enc_...": ["enc_algo", "enc_key"]}.get(name, [name])
            for option in names:
                yield from ((option, message, end) for message in MESSAGES.get(option, [PUBLISH]))


def test_options_of_the_wrong_type(routerd, join):
    """Each option in the table of clients.md does what its row says; as null it has no effect."""
    roles = {role: {"features": {"payload_passthru_mode": True, "progressive_call_invocations": True}}
             for role in ("publisher", "subscriber", "caller", "callee")}
    for option, message, end in wrong_options():
        client = join(routerd, roles=roles)
        value = 1 if option in ("match", "invoke") or option.startswith(("ppt_", "enc_")) else "x"
        scheme = {"ppt_keyid": {"ppt_scheme": "x_mine"}, "enc_key": {"enc_algo": "x_mine"}}.get(option, {})
        client.send([message, 1, {option: None}, "com.example.null"],
                    [message, 2, {"acknowledge": True, **scheme, option: value}, "com.example.t"])
        if end:
            abort = client.expect(ABORT)
            assert abort[2] == "wamp.error.protocol_violation" and f"Options.{option}: expected" in abort[1]["message"]
        else:
            while (answer := client.recv())[:3] != [ERROR, message, 2]:
                pass
            assert answer[4] == "wamp.error.invalid_argument" and option in answer[5][0]
