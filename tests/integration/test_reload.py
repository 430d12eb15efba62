# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: routerd reads its configuration again and applies roles and permissions."""

import os
import random
import re
import signal
import socket
import threading
import time

import peers
import pytest
import utils
from authenticator import HOLD, principal
from rawclient import ABORT, CHALLENGE, GOODBYE, INVOCATION, PUBLISH, PUBLISHED, WELCOME, YIELD, Aborted, WampError
from utils import Key, permission, wait_for

NOT_AUTHORIZED = "wamp.error.not_authorized"
NO_SUCH_ROLE = "wamp.error.no_such_role"


def role(name, *permissions):
    return {"name": name, "permissions": list(permissions)}


def open_role(name):
    return role(name, permission())


@pytest.fixture
def router(start_routerd, threads):
    """A router with the roles "device" and "guest" in the realms "devices" and "other"."""
    return start_routerd(two_realms(threads))


def two_realms(threads, **kw):
    config = utils.router_config(threads=threads, cryptosign=False, **kw)
    config["realms"] = [{"name": name, "roles": [open_role("device"), open_role("guest")]}
                        for name in ("devices", "other")]
    return config


def set_roles(routerd, *roles, realm=0):
    routerd.config["realms"][realm]["roles"] = list(roles)


def outcomes(routerd):
    """How each reload so far ended; several lines may say why one was refused."""
    return re.findall(r"reload (done|refused).*", routerd.log(since_start=True))


def hup(routerd, write=True):
    """Writes the file, reloads it, and returns the last log line of the reload."""
    before = len(outcomes(routerd))
    if write:
        routerd.write_config()
    routerd.signal(signal.SIGHUP)
    wait_for(lambda: len(outcomes(routerd)) > before, "the reload to end")
    return re.findall(r".*reload (?:done|refused).*", routerd.log(since_start=True))[before]


def reload(routerd):
    line = hup(routerd)
    assert "reload done" in line, line
    return line


def refused(client, function, *args):
    with pytest.raises(WampError) as e:
        function(*args)
    assert e.value.uri == NOT_AUTHORIZED
    client.publish("com.example.other", acknowledge=True)  # the session lives


def reload_counters(routerd):
    pattern = r"counters reloads done=(\d+) refused=(\d+)"
    before = len(re.findall(pattern, routerd.log()))
    routerd.counters()
    found = wait_for(lambda: re.findall(pattern, routerd.log())[before:], "the counters of reloads")
    return tuple(map(int, found[-1]))


# --- rights ---------------------------------------------------------------------------------


def test_new_messages_are_judged_anew(router, join):
    clients = [join(router, s) for s in ("json", "cbor", "msgpack", "json", "cbor.batched")]
    for i, client in enumerate(clients):
        client.subscribe(f"com.example.t{i}")
        client.register(f"com.example.p{i}", lambda args, kwargs: (args, kwargs))
    set_roles(router, role("device", permission("com.example.other")), open_role("guest"))
    line = reload(router)
    assert "generation=2 sessions_ended=0 logins_refused=0 revoked=10" in line
    for i, client in enumerate(clients):
        refused(client, client.subscribe, "com.example.new")
        refused(client, client.register, "com.example.new")
        refused(client, client.call, f"com.example.p{i}", [1])
        refused(client, lambda c=client: c.publish("com.example.new", acknowledge=True))
    newcomer = join(router)
    refused(newcomer, newcomer.subscribe, "com.example.new")
    set_roles(router, open_role("device"), open_role("guest"))
    reload(router)
    for i, client in enumerate([*clients, newcomer]):
        client.subscribe("com.example.new")
        client.register(f"com.example.new{i}")
    router.check_threads()


def test_what_a_session_has_it_keeps(router, join):
    """Other rights than those to subscribe and register do not matter for what a session has."""
    holder, caller = join(router), join(router, realm="devices")
    subscription = holder.subscribe("com.example.t")
    holder.register("com.example.p")
    call = caller.start_call("com.example.p", ["before"])
    invocation = holder.expect(INVOCATION)
    set_roles(router, role("device", permission("com.example.", subscribe=True, register=True)), open_role("guest"))
    assert "revoked=0" in reload(router)
    holder.send([YIELD, invocation[1], {}, ["answer"]])
    assert caller.result(call) == (["answer"], {})
    with pytest.raises(WampError):
        caller.call("com.example.p")
    set_roles(router, open_role("device"), open_role("guest"))
    assert "revoked=0" in reload(router)
    call = caller.start_call("com.example.p", ["after"])
    holder.send([YIELD, holder.expect(INVOCATION)[1], {}, ["again"]])
    assert caller.result(call) == (["again"], {})
    caller.publish("com.example.t", ["event"])
    assert holder.event(subscription) == (["event"], {})


def test_sessions_of_a_removed_role_end(router, join):
    here = [join(router, s) for s in ("json", "msgpack", "cbor.batched", "json", "cbor", "msgpack.batched")]
    there = [join(router, realm="other") for _ in range(6)]
    here[0].register("com.example.p", lambda args, kwargs: (args, kwargs))
    there[0].register("com.example.p")
    there[0].start_call("com.example.p")  # a call to itself: nothing may follow its GOODBYE
    there[0].expect(INVOCATION)
    for client in there:
        client.publish("com.example.t", ["before"])
    set_roles(router, open_role("guest"), realm=1)
    assert "sessions_ended=6 logins_refused=0" in reload(router)
    for client in there:
        goodbye = client.expect(GOODBYE)
        assert goodbye[2] == NO_SUCH_ROLE and "message" in goodbye[1], goodbye
        _, messages = client.wait_closed()
        assert not messages, messages
    assert here[1].call("com.example.p", [1], callee=here[0]) == ([1], {})
    assert join_fails(router, join) == NO_SUCH_ROLE
    # the role comes back: clients may join again
    set_roles(router, open_role("device"), realm=1)
    reload(router)
    join(router, realm="other").publish("com.example.t", acknowledge=True)
    wait_for(lambda: router.total("sessions") == 7, "the dead to be gone")
    assert router.total("sessions_killed") == 6


def join_fails(routerd, join, realm="other"):
    with pytest.raises(Aborted) as e:
        join(routerd, realm=realm)
    return e.value.uri


@pytest.mark.parametrize("kind", ["ab-asyncio", "ab-twisted", "ab-new-asyncio", "autobahn-js", "wampy"])
def test_real_clients_whose_role_is_removed(start_routerd, puppets, kind):
    routerd = start_routerd(two_realms(4))
    puppet = puppets(kind)
    doomed = [peers.Peer(puppet, routerd.url(), "json", realm="other", name=f"d{i}") for i in range(4)]
    spared = peers.Peer(puppet, routerd.url(), "json", realm="devices", name="spared")
    set_roles(routerd, open_role("guest"), realm=1)
    assert "sessions_ended=4" in reload(routerd)
    spared.subscribe("com.example.t")
    if kind in peers.JAVASCRIPT:
        for client in doomed:
            puppet.event(ev="lost" if kind == "wampy" else "left", s=client.name)
    else:
        with pytest.raises(peers.PeerError):
            doomed[0].subscribe("com.example.t")
    wait_for(lambda: routerd.total("sessions") == 1, "the sessions to end")
    assert routerd.total("protocol_violations") == 0


# --- at each stage of a login ---------------------------------------------------------------


def dynamic(threads):
    """A router whose clients get their roles from the scripted authenticator."""
    config = utils.router_config(threads=threads, anonymous=None)
    config["realms"][0]["roles"].append(open_role("other"))
    return config


def ask(connect, routerd, key):
    client = connect(routerd)
    client.hello(None, authmethods=["cryptosign"], authextra={"pubkey": key.public})
    return client


def expect_no_such_role(client):
    message = client.expect(ABORT)
    assert len(message) == 3 and message[2] == NO_SUCH_ROLE, message
    client.wait_closed()


def test_calls_between_roles_when_one_is_removed(fake, start_routerd, threads, join):
    """The caller, whose role stays, gets an ERROR; a call of the removed role is forgotten."""
    key, names = Key(), ["device", "other"]
    fake(lambda *args: principal(key, role=names.pop(0)))
    routerd = start_routerd(dynamic(threads))
    doomed, spared = join(routerd, key=key), join(routerd, key=key)
    doomed.register("com.example.doomed")
    spared.register("com.example.spared")
    call = spared.start_call("com.example.doomed")
    doomed.start_call("com.example.spared")
    doomed.expect(INVOCATION)
    invocation = spared.expect(INVOCATION)
    set_roles(routerd, open_role("other"))
    reload(routerd)
    assert doomed.expect(GOODBYE)[2] == NO_SUCH_ROLE
    with pytest.raises(WampError) as e:
        spared.result(call)
    assert e.value.uri == "wamp.error.canceled"
    spared.send([YIELD, invocation[1], {}])
    spared.publish("com.example.t", acknowledge=True)
    wait_for(lambda: owner_sessions(routerd) == 1, "the owner to forget one")


def test_role_removed_while_the_authenticator_is_asked(fake, start_routerd, threads, connect):
    key = Key()
    authenticator = fake(lambda *args: HOLD)
    routerd = start_routerd(dynamic(threads))
    gone, there = ask(connect, routerd, key), ask(connect, routerd, key)
    questions = authenticator.wait_requests(2)
    set_roles(routerd, open_role("other"), open_role("new"))
    reload(routerd)
    for (msgid, _, _), name in zip(questions, ("device", "new")):
        authenticator.send([1, msgid, None, principal(key, role=name)])
    outcome = {client.recv()[0]: client for client in (gone, there)}
    assert set(outcome) == {ABORT, CHALLENGE}
    routerd.wait_log("configuration and authenticator disagree")


def test_role_removed_while_challenged(fake, start_routerd, threads, connect):
    key, names = Key(), ["device", "other", "device"]
    fake(lambda *args: principal(key, role=names.pop(0)))
    routerd = start_routerd(dynamic(threads))
    clients, challenges = [], []
    for _ in range(3):
        clients.append(ask(connect, routerd, key))
        challenges.append(clients[-1].expect(CHALLENGE)[2]["challenge"])
    set_roles(routerd, open_role("other"))
    assert "sessions_ended=0 logins_refused=2" in reload(routerd)
    expect_no_such_role(clients[0])
    expect_no_such_role(clients[2])
    clients[1].authenticate(key.sign(challenges[1]))
    clients[1].expect(WELCOME)
    clients[1].publish("com.example.t", acknowledge=True)


def test_role_removed_while_joining(fake, start_routerd, join, connect):
    """The owner of the realm stands still, so JOIN waits; the session's worker refuses the login."""
    key = Key()
    fake(lambda *args: principal(key))
    config = dynamic(4)
    config["debug"] = {"stall_worker": 3}
    routerd = start_routerd(config)
    probe, client = join(routerd, key=key), connect(routerd)
    challenge = client.challenge(None, key)
    routerd.signal(signal.SIGUSR2)
    try:
        wait_for(lambda: not answers(probe), "the owner to stand still")
        client.authenticate(key.sign(challenge))
        set_roles(routerd, open_role("other"))
        routerd.write_config()
        routerd.signal(signal.SIGHUP)
        expect_no_such_role(client)
        assert probe.expect(GOODBYE)[2] == NO_SUCH_ROLE
        assert outcomes(routerd) == []
    finally:
        routerd.signal(signal.SIGUSR2)
    routerd.wait_log("reload done generation=2 sessions_ended=1 logins_refused=1")
    wait_for(lambda: owner_sessions(routerd) == 0, "the owner to forget both")
    assert routerd.total("sessions") == 0


def answers(probe):
    request = probe.next_request()
    probe.send([PUBLISH, request, {"acknowledge": True}, "com.example.t"])
    try:
        probe.expect(PUBLISHED, request, timeout=0.3)
        return True
    except TimeoutError:
        return False


def owner_sessions(routerd):
    routerd.counters()
    return int(re.findall(r"counters realm=devices sessions=(\d+)", routerd.log())[-1])


def test_an_authenticator_gives_a_role_that_was_added(fake, start_routerd, threads, join):
    key = Key()
    authenticator = fake(lambda *args: principal(key))
    routerd = start_routerd(dynamic(threads))
    join(routerd, key=key)
    routerd.config["realms"][0]["roles"].append(role("added", permission("com.example.", subscribe=True)))
    reload(routerd)
    authenticator.answer = lambda *args: principal(key, role="added")
    client = join(routerd, key=key)
    client.subscribe("com.example.t")
    with pytest.raises(WampError):
        client.register("com.example.p")


# --- what is refused ------------------------------------------------------------------------


def spoil_gone(path):
    path.unlink()
    return r"routerd\.yaml: No such file or directory"


def spoil_unreadable(path):
    path.unlink()
    path.mkdir()
    return r"routerd\.yaml: Is a directory"


def spoil_large(path):
    path.write_text("# " + "x" * (1 << 20) + "\n" + path.read_text())
    return r"routerd\.yaml:1:1: the file is longer than 1 MiB"


def spoil_syntax(path):
    path.write_text("threads: 1\nrealms: [}\n")
    return r"routerd\.yaml:2:10: "


def spoil_key(path):
    path.write_text(path.read_text().replace('"realms"', '"reals"'))
    return r"routerd\.yaml:\d+:\d+: .*reals"


def spoil_reference(path):
    path.write_text(path.read_text().replace('"role": "device"', '"role": "nobody"'))
    return r"routerd\.yaml:\d+:\d+: no realm has a role 'nobody'"


def spoil_twice(path):
    text = path.read_text()
    path.write_text(text.replace('"name": "guest"', '"name": "device"'))
    return r"routerd\.yaml:\d+:\d+: .*'device' is given twice"


def spoil_empty(path):
    path.write_text("")
    return r"routerd\.yaml:1:1: "


@pytest.mark.parametrize("spoil", [spoil_gone, spoil_unreadable, spoil_large, spoil_syntax, spoil_key,
                                   spoil_reference, spoil_twice, spoil_empty])
def test_a_wrong_file_changes_nothing(router, join, spoil):
    client = join(router)
    before = router.fds()
    pattern = spoil(router.config_path)
    for n in range(1, 4):
        line = hup(router, write=False)
        assert re.search("error reload refused: .*" + pattern, line), line
    client.subscribe("com.example.t")
    join(router, realm="other").publish("com.example.t", acknowledge=True)
    assert reload_counters(router) == (0, 3)
    if router.config_path.is_dir():
        router.config_path.rmdir()
    set_roles(router, role("device", permission("com.example.other")), open_role("guest"))
    reload(router)
    refused(client, client.subscribe, "com.example.t2")
    assert reload_counters(router) == (1, 3)
    wait_for(lambda: router.fds() <= before + 1, "no descriptor to be left open")  # one more client


def test_every_error_is_logged(router):
    router.config_path.write_text("threads: 99\nrealms: 5\ntransports: no\n")
    hup(router, write=False)
    for line in (1, 2, 3):
        router.wait_log(rf"reload refused: routerd.yaml:{line}:")


def test_warnings_are_logged(router):
    router.config["realms"][0]["roles"].append(role("useless"))
    reload(router)
    router.wait_log(r"warn  routerd\.yaml:\d+:\d+: warning: no client can get this role: no transport assigns it")


# --- what needs a restart -------------------------------------------------------------------


def changed(routerd):
    """What the last reload has left as it was."""
    found = re.findall(r'warn  reload applies only roles, permissions and options of realms except history: .* changed="(.*)"', routerd.log())
    return found[-1] if found else None


def test_what_needs_a_restart_is_named(router, join):
    reload(router)
    assert changed(router) is None
    before = {**router.config, "transports": [dict(router.config["transports"][0])]}
    changes = {
        "threads": 7,
        "node": "elsewhere",
        "limits": {"pending_calls": 1},
        "log": {"level": "debug"},
        "authenticators": {"x": {"socket": "x.sock"}},
        "debug": {"stall_worker": 1},
        "transports": [{**before["transports"][0], "id": "renamed"}],
    }
    for key, value in changes.items():
        router.config = {**before, key: value}
        reload(router)
        assert changed(router) == key
    router.config = {**before, **changes}
    reload(router)
    assert sorted(changed(router).split(", ")) == sorted(changes)
    router.config = before
    join(router).publish("com.example.t", acknowledge=True)
    assert len(router.counters()) == before["threads"]


def test_a_value_that_is_said_in_another_way_is_no_change(router):
    """The defaults, and other units."""
    router.config["limits"] = {"pending_calls": 10000, "queue_size": 16 << 20}
    router.config["transports"][0]["options"] = {}
    router.config["log"] = {}
    reload(router)
    assert changed(router) is None


def test_realms_stay_as_they_are(router, join):
    here, there = join(router), join(router, realm="other")
    router.config["realms"] = [{"name": "new", "roles": [open_role("device")]},
                               {"name": "devices", "roles": [open_role("device")]}]
    assert "sessions_ended=0" in reload(router)
    assert changed(router) == "new realm new, removed realm other"
    for client in (here, there, join(router), join(router, realm="other")):
        client.subscribe("com.example.t")
    assert join_fails(router, join, "new") == "wamp.error.no_such_realm"


def test_the_role_of_a_running_transport_is_removed(start_routerd, join):
    """The transports are not reloaded: this one goes on to give anonymous clients a role that is gone."""
    routerd = start_routerd(cryptosign=False)
    session = join(routerd)
    set_roles(routerd, open_role("renamed"))
    routerd.config["transports"][0]["auth"]["anonymous"]["role"] = "renamed"
    reload(routerd)
    assert session.expect(GOODBYE)[2] == NO_SUCH_ROLE
    routerd.wait_log("warn  reload has removed the role of a transport's anonymous clients: "
                     "they are refused until routerd restarts listener=public authrole=device")


# --- signals --------------------------------------------------------------------------------


def test_the_last_of_many_files_wins(router, join):
    client = join(router)
    for number in range(200):
        set_roles(router, role("device", permission(f"com.example.t{number}"), permission("com.example.other")),
                  open_role("guest"))
        router.write_config()
        router.signal(signal.SIGHUP)

    def is_last():
        try:
            client.subscribe("com.example.t199")
        except WampError:
            return False
        return True

    wait_for(is_last, "the last file to be in force")
    refused(client, client.subscribe, "com.example.t198")
    done = outcomes(router)
    assert 1 <= done.count("done") <= 201


def test_two_signals_while_the_file_is_read(router, join):
    """A FIFO stands for a disk or directory service that is slow: routerd serves meanwhile."""
    client = join(router)
    path = router.config_path
    good = path.read_text()
    path.unlink()
    os.mkfifo(path)
    router.signal(signal.SIGHUP)
    fifo = wait_for(lambda: try_open(path), "routerd to open the file")
    for _ in range(5):
        router.signal(signal.SIGHUP)
    client.publish("com.example.t", acknowledge=True)
    join(router).publish("com.example.t", acknowledge=True)
    assert outcomes(router) == []
    path.unlink()
    path.write_text(good)
    os.set_blocking(fifo, True)
    with open(fifo, "w") as f:
        f.write(good)
    wait_for(lambda: outcomes(router) == ["done", "done"], "two reloads")
    client.publish("com.example.t", acknowledge=True)
    assert outcomes(router) == ["done", "done"]


def try_open(path):
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def test_stop_while_the_file_is_read(router, join):
    join(router)
    router.config_path.unlink()
    os.mkfifo(router.config_path)
    router.signal(signal.SIGHUP)
    fifo = wait_for(lambda: try_open(router.config_path), "routerd to open the file")
    begin = time.monotonic()
    router.signal(signal.SIGTERM)
    router.signal(signal.SIGHUP)
    assert router.process.wait(10 * utils.SLOW) == 0
    assert time.monotonic() - begin < 4 * utils.SLOW
    os.close(fifo)
    assert outcomes(router) == []


def test_stop_while_workers_switch(start_routerd, join):
    config = two_realms(4)
    config["debug"] = {"stall_worker": 2}
    routerd = start_routerd(config)
    join(routerd)
    routerd.signal(signal.SIGUSR2)
    set_roles(routerd, open_role("guest"), realm=1)
    routerd.write_config()
    routerd.signal(signal.SIGHUP)
    routerd.signal(signal.SIGHUP)
    # the log has this warning when the policy is sent
    wait_for(lambda: routerd.log().count("no client can get this role: no transport assigns it") > 2, "the policy to be sent")
    routerd.signal(signal.SIGTERM)
    routerd.signal(signal.SIGUSR2)
    routerd.stop()
    assert len(outcomes(routerd)) <= 2


def test_the_service_manager_is_told(folder, daemons, threads):
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(folder / "notify"))
    notify.settimeout(10 * utils.SLOW)
    routerd = utils.Routerd(folder, two_realms(threads), env={"NOTIFY_SOCKET": str(folder / "notify")})
    daemons.append(routerd)
    routerd.start()
    assert notify.recv(100) == b"READY=1"
    last = 0
    for good in (True, False, True):
        if good:
            routerd.write_config()
        else:
            routerd.config_path.write_text("[")
        routerd.signal(signal.SIGHUP)
        told = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", notify.recv(100))
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert last < int(told[1]) <= now
        last = int(told[1])
        assert notify.recv(100) == b"READY=1"
        last_outcome = "done" if good else "refused"
        wait_for(lambda: outcomes(routerd)[-1:] == [last_outcome], last_outcome)
    routerd.signal(signal.SIGTERM)
    assert notify.recv(100) == b"STOPPING=1"


# --- under load -----------------------------------------------------------------------------


def test_reloads_under_load(start_routerd, join):
    """4 threads: no event of an allowed session is lost or out of order, each call has one answer, and
    no message is judged by a mixture of two files."""
    routerd = start_routerd(two_realms(4))
    chance = random.Random(1)
    subscriber, callee = join(routerd), join(routerd)
    topic = subscriber.subscribe("com.example.other")
    callee.register("com.example.p", lambda args, kwargs: (args, kwargs))
    publishers = [join(routerd) for _ in range(6)]
    over, failed = threading.Event(), []

    def guarded(function):
        def run():
            try:
                function()
            except Exception as e:  # noqa: BLE001 - the test fails with it
                failed.append(e)
        return threading.Thread(target=run)

    def publish(client, number):
        count = 0
        while not over.is_set():
            count += 1
            client.publish("com.example.other", [number, count], acknowledge=True)
            for sometimes in ("com.example.a", "com.example.b"):
                try:
                    client.publish(sometimes, acknowledge=True)
                except WampError as e:
                    assert e.uri == NOT_AUTHORIZED
        sent[number] = count

    def call(client):
        while not over.is_set():
            number = chance.random()
            assert client.call("com.example.p", [number]) == ([number], {})

    def serve():
        while not over.is_set():
            callee.serve(1)

    def come_and_go():
        while not over.is_set():
            try:
                client = join(routerd, realm="other")
                client.subscribe("com.example.x")
                client.close_socket()
            except Exception:  # noqa: BLE001 - its role may be gone at any moment
                pass

    sent = {}
    caller = join(routerd)
    jobs = [guarded(lambda c=c, i=i: publish(c, i)) for i, c in enumerate(publishers)]
    jobs += [guarded(lambda: call(caller)), guarded(come_and_go)]
    server = guarded(serve)
    for job in [*jobs, server]:
        job.start()
    for n in range(40):
        allowed = [permission("com.example.other"), permission("com.example.p"),
                   permission(f"com.example.{'ab'[n % 2]}")]
        set_roles(routerd, role("device", *allowed), open_role("guest"))
        set_roles(routerd, open_role("device" if n % 3 else "guest"), realm=1)
        reload(routerd)
    over.set()
    for job in jobs:
        job.join(20 * utils.SLOW)
    callee.close_socket()
    server.join(20 * utils.SLOW)
    assert failed in ([], failed[-1:]) and not [e for e in failed if isinstance(e, AssertionError)], failed
    seen = {}
    while seen != sent:
        (number, count), _ = subscriber.event(topic)
        assert count == seen.get(number, 0) + 1
        seen[number] = count
    routerd.check_threads()
    assert routerd.total("protocol_violations") == 0
