# SPDX-License-Identifier: Apache-2.0
"""What a permission says about disclosure and trust levels (specification: "Caller Identification",
"Publisher Identification", "Call Trust Levels", "Publication Trust Levels").

In this test the second component of a URI names the disclosure that its permission sets.
"""

import peers
import pytest
import rawclient
from rawclient import CALL, ERROR, EVENT, INVOCATION, PUBLISH, YIELD, WampError
from test_reload import reload
from utils import permission, router_config

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

RULES = {"allow": "allow", "force": True, "ignore": False, "refuse": "refuse"}
REFUSED = "wamp.error.option_disallowed.disclose_me"
WISHES = [{}, {"disclose_me": True}, {"disclose_me": False}, {"disclose_me": None}]
LEVELS = [0, 1, 254]


def rule(uri, disclose=None, **kw):
    result = {**permission(uri), **kw}
    if disclose is not None:
        result["disclose"] = {"caller": disclose, "publisher": disclose}
    return result


@pytest.fixture
def routerd(start_routerd, threads):
    config = router_config(threads=threads, cryptosign=False)
    config["realms"][0]["roles"][0]["permissions"] = [
        permission(), *[rule(f"com.{name}.", value) for name, value in RULES.items()],
        *[rule(f"com.level{n}.", trust_level=n) for n in LEVELS], rule("com.both.", True, trust_level=7)]
    return start_routerd(config)


def identity(client, who):
    return {who: client.session, f"{who}_authid": client.details["authid"],
            f"{who}_authrole": client.details["authrole"]}


def is_disclosed(name, wish):
    return name == "force" or (name in ("allow", "default") and wish.get("disclose_me") is True)


def is_refused(name, wish):
    return name == "refuse" and wish.get("disclose_me") is True


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor.batched"])
def test_calls(routerd, join, serializer):
    caller, callee = join(routerd, serializer), join(routerd)
    for name in [*RULES, "default"]:
        for asks in (False, True):
            procedure = f"com.{name}.p{asks}"
            registration = callee.register(procedure, disclose_caller=asks)
            for wish in WISHES:
                request = caller.start_call(procedure, [1], **wish)
                if is_refused(name, wish) or (asks and name in ("refuse", "ignore")):
                    error = caller.expect(ERROR, 48)
                    assert error[2:5] == [request, {}, REFUSED], (procedure, wish)
                    assert ("the callee" in error[5][0]) != is_refused(name, wish), error
                    continue
                disclosed = asks or is_disclosed(name, wish)
                invocation = callee.expect(INVOCATION)
                assert invocation[2:] == [registration, identity(caller, "caller") if disclosed else {}, [1]], (
                    procedure, wish)
                callee.send([YIELD, invocation[1], {}])
                assert caller.expect(rawclient.RESULT, request) == [rawclient.RESULT, request, {}]
    assert callee.silent() == [] and caller.silent() == []


@pytest.mark.parametrize("serializer", ["json", "msgpack.batched", "cbor"])
def test_publications(routerd, join, serializer):
    sender, receiver = join(routerd, serializer), join(routerd)
    dropped = 0
    for name in [*RULES, "default"]:
        topic = f"com.{name}.t"
        subscription = receiver.subscribe(topic)
        for wish in WISHES:
            if is_refused(name, wish):
                with pytest.raises(WampError) as e:
                    sender.publish(topic, ["refused"], acknowledge=True, **wish)
                assert e.value.uri == REFUSED
                sender.publish(topic, ["refused"], **wish)
                routerd.wait_log(f"publish dropped uri={topic} error={REFUSED}")
                dropped += 1
                continue
            publication = sender.publish(topic, [1], acknowledge=True, **wish)
            expected = identity(sender, "publisher") if is_disclosed(name, wish) else {}
            assert receiver.expect(EVENT) == [EVENT, subscription, publication, expected, [1]], (topic, wish)
    assert sender.silent() == [] and receiver.silent() == []
    assert routerd.total("publishes_dropped") == dropped == 1


@pytest.mark.parametrize("serializer", ["json", "msgpack.batched", "cbor.batched"])
def test_trust_levels(routerd, join, serializer):
    """Each message carries the level of its own permission, also in one batch."""
    sender, receiver = join(routerd, "json.batched"), join(routerd, serializer)
    expected = {f"com.level{n}.": {"trustlevel": n} for n in LEVELS}
    expected["com.other."] = {}
    expected["com.both."] = {"trustlevel": 7}
    for prefix in expected:
        receiver.register(f"{prefix}p")
        receiver.subscribe(f"{prefix}t")
    for number, kind, name in ((EVENT, PUBLISH, "t"), (INVOCATION, CALL, "p")):
        who = "publisher" if kind == PUBLISH else "caller"
        sender.send(*[[kind, sender.next_request(), {"disclose_me": d}, prefix + name, [prefix]]
                      for d in (False, True) for prefix in expected])
        for disclosed in (False, True):
            for prefix, details in expected.items():
                message = receiver.expect(number)
                disclosure = identity(sender, who) if disclosed or prefix == "com.both." else {}
                assert message[3:] == [{**disclosure, **details}, [prefix]]
                assert type(message[3].get("trustlevel", 0)) is int


def test_one_eligible_session_of_many(routerd, join):
    """The owner sends such an event directly; it says the same."""
    sender, receivers = join(routerd, "cbor"), [join(routerd, "msgpack") for _ in range(66)]
    subscriptions = [r.subscribe("com.both.t") for r in receivers]
    for i in (3, 65):
        publication = sender.publish("com.both.t", acknowledge=True, eligible=[receivers[i].session])
        assert receivers[i].expect(EVENT) == [EVENT, subscriptions[i], publication,
                                              {**identity(sender, "publisher"), "trustlevel": 7}]


def test_a_reload_changes_both_for_new_messages(routerd, join):
    sender, receiver = join(routerd), join(routerd, "cbor")
    receiver.subscribe("com.force.t")
    receiver.register("com.force.p")
    permissions = routerd.config["realms"][0]["roles"][0]["permissions"]
    for disclose, level, details in ((True, None, True), ("refuse", 3, False), (True, 4, True), (False, None, False)):
        permissions[:] = [permission(), rule("com.force.", disclose, **({} if level is None else {"trust_level": level}))]
        reload(routerd)
        trust = {} if level is None else {"trustlevel": level}
        sender.publish("com.force.t")
        assert receiver.expect(EVENT)[3] == {**(identity(sender, "publisher") if details else {}), **trust}
        sender.start_call("com.force.p")
        assert receiver.expect(INVOCATION)[3] == {**(identity(sender, "caller") if details else {}), **trust}
        if disclose == "refuse":
            request = sender.start_call("com.force.p", disclose_me=True)
            assert sender.expect(ERROR, 48)[2:5] == [request, {}, REFUSED]


@pytest.mark.parametrize("kind", list(peers.COMMANDS))
def test_real_clients(routerd, join, puppets, transport, kind):
    """Autobahn|Python cannot ask for it, so only a permission discloses it. Crossbar's users know it so."""
    puppet = puppets(kind)
    for serializer in peers.serializers(kind, transport):
        sender, receiver = [peers.Peer(puppet, routerd.url(), serializer) for _ in range(2)]
        expected = [sender.details[n] for n in ("session", "authid", "authrole")]
        for prefix in ("com.force.", "com.both."):
            receiver.register(f"{prefix}who", kind="identify")
            assert sender.call(f"{prefix}who", [], {})[0] == [expected], str(sender)
            receiver.subscribe(f"{prefix}t")
            sender.publish(f"{prefix}t", [1], {}, acknowledge=True)
            assert receiver.event_of(f"{prefix}t") == ([1], expected), str(sender)
        receiver.register("com.ignore.who", kind="identify")
        assert sender.call("com.ignore.who", [], {})[0] == [[None, None, None]]
        for prefix in ("com.force.", "com.both.", "com.ignore."):
            receiver.unregister(f"{prefix}who")
