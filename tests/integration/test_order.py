# SPDX-License-Identifier: Apache-2.0
"""The order that WAMP guarantees; and nothing is lost or doubled."""

import random
import threading

import pytest
import rawclient
from rawclient import (CALL, CANCEL, CANCELING, ERROR, EVENT, GOODBYE, INTERRUPT, INVOCATION, PUBLISH, RESULT,
                       SERIALIZERS, SUBSCRIBE, SUBSCRIBED, TRANSPORTS, UNSUBSCRIBE, UNSUBSCRIBED, YIELD)
from utils import BUILD, SLOW, router_config

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)

TOPICS = [f"com.example.order.t{i}" for i in range(10)]


def in_threads(*functions):
    """Runs the functions at the same time and raises the first of their exceptions."""
    errors = []

    def run(function):
        try:
            function()
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(f,)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def test_events_of_a_publisher_stay_in_order_across_topics(routerd, join):
    count = 300
    receivers = [join(routerd, s) for s in SERIALIZERS]
    topic_of = []
    for r in receivers:
        topic_of.append({r.subscribe(t): i for i, t in enumerate(TOPICS)})
    senders = [join(routerd, s) for s in ("json", "msgpack", "cbor.batched")]

    def publish(number, sender):
        for i in range(count):
            sender.publish(TOPICS[i % 10], [number, i])
        # its answer shows that all before it were processed
        sender.publish("com.example.end", acknowledge=True)

    def receive(receiver, topics):
        following = [0] * len(senders)
        for _ in range(count * len(senders)):
            message = receiver.expect(EVENT)
            number, i = message[4]
            assert i == following[number], f"publisher {number}: {i} after {following[number] - 1}"
            assert topics[message[1]] == i % 10
            following[number] += 1

    in_threads(*[lambda n=n, s=s: publish(n, s) for n, s in enumerate(senders)],
               *[lambda r=r, t=t: receive(r, t) for r, t in zip(receivers, topic_of)])
    for r in receivers:
        assert r.silent() == []
    routerd.check_threads()


@pytest.mark.parametrize("alone", [True, False], ids=["last_member", "one_of_many"])
def test_no_event_before_subscribed_and_none_after_unsubscribed(routerd, join, alone):
    """Subscribers come and go while two publishers publish without a pause."""
    rounds, stop = 60, threading.Event()
    if not alone:
        join(routerd).subscribe("com.example.churn")
    churners = [join(routerd, s) for s in SERIALIZERS[:4]]
    publishers = [join(routerd, s) for s in ("json", "cbor")]

    def publish(sender):
        while not stop.is_set():
            for _ in range(20):
                sender.publish("com.example.churn", [1])
            sender.publish("com.example.churn", [2], acknowledge=True)

    def churn(client):
        seen = 0
        for _ in range(rounds):
            request = client.next_request()
            client.send([SUBSCRIBE, request, {}, "com.example.churn"])
            message = client.recv()
            assert message[:2] == [SUBSCRIBED, request], f"{message} before SUBSCRIBED"
            subscription = message[2]
            for _ in range(3):
                message = client.recv()
                assert message[0] == EVENT and message[1] == subscription
                seen += 1
            request = client.next_request()
            client.send([UNSUBSCRIBE, request, subscription])
            while True:
                message = client.recv()
                if message[0] == UNSUBSCRIBED:
                    assert message[1] == request
                    break
                assert message[0] == EVENT and message[1] == subscription
            assert not client.inbox, "an event behind UNSUBSCRIBED in the same batch"
        return seen

    def all_churn():
        try:
            in_threads(*[lambda c=c: churn(c) for c in churners])
        finally:
            stop.set()

    in_threads(all_churn, *[lambda p=p: publish(p) for p in publishers])
    routerd.check_threads()


@pytest.mark.websocket
def test_members_end_in_the_middle_of_a_fan_out(start_routerd, threads, clients, join):
    """Members that accept only short messages get the events one by one, so that these take many turns.
    A killed session and one that unsubscribes get what was published before, and nothing else; those that
    stay get everything, in order."""
    config = router_config(threads=threads, cryptosign=False)
    config["transports"][0]["type"] = "universal"
    routerd = start_routerd(config)
    number, rounds, burst = 2000 if BUILD.name == "release" else 200, 5, 32
    killer, members = join(routerd), []
    for _ in range(number):
        member = rawclient.Client(**routerd.address(0), transport=rawclient.RawSocket, length=2)  # 2 KiB
        clients.append(member)
        member.join()
        members.append(member)
    subscriptions = [m.subscribe(TOPICS[0]) for m in members]
    chosen = random.Random(17).sample(range(number), 4 * rounds + 50)
    killed, closed, unsubscribed = (chosen[i * rounds:(i + 1) * rounds] for i in range(3))
    stay = chosen[3 * rounds:]
    kills = []

    def publications(n):
        """Numbered, and one of them is too long for the members."""
        values = [*range(n * burst, (n + 1) * burst), "x" * 3000]
        return [[PUBLISH, killer.next_request(), {}, TOPICS[0], [-1, v]] for v in values]

    for n in range(rounds):
        kills.append(killer.next_request())
        killer.send(*publications(2 * n), [CALL, kills[-1], {}, "wamp.session.kill", [members[killed[n]].session]],
                    *publications(2 * n + 1))
        members[closed[n]].close_socket()
        i = unsubscribed[n]
        publish = [PUBLISH, 10, {"exclude_me": False}, TOPICS[0]]
        members[i].send([*publish, [i, 0]], [UNSUBSCRIBE, 11, subscriptions[i]], [*publish, [i, 1]])
    for request in kills:
        killer.result(request)
    for i in unsubscribed:
        members[i].silent()
    killer.publish(TOPICS[0], [-2, 0], acknowledge=True)
    sent = {-1: 2 * rounds * burst, **{i: 2 for i in unsubscribed}, -2: 1}
    for i in killed + unsubscribed + stay:
        member, got = members[i], dict.fromkeys(sent, 0)
        while not got[-2]:
            message = member.recv(20 * SLOW)
            if message[0] != EVENT:
                break
            sender, value = message[4]
            assert message[1] == subscriptions[i] and value == got[sender]
            got[sender] += 1
        if i in killed:
            assert message[0] == GOODBYE and member.wait_closed()[1] == []
            assert got[-1] == (2 * killed.index(i) + 1) * burst
        elif i in unsubscribed:
            assert message == [UNSUBSCRIBED, 11] and got[i] == 1
            assert member.silent() == []
        else:
            assert got == sent


def test_what_was_published_before_goodbye_arrives(routerd, join):
    receiver = join(routerd)
    subscription = receiver.subscribe("com.example.last_words")
    for s in SERIALIZERS:
        sender = join(routerd, s)
        for i in range(100):
            sender.publish("com.example.last_words", [i])
        sender.leave()
        for i in range(100):
            assert receiver.event(subscription) == ([i], {})
    routerd.check_threads()


def test_invocations_of_a_caller_keep_their_order(routerd, join):
    count = 300
    callee = join(routerd, "cbor.batched")
    procedures = [f"com.example.order.p{i}" for i in range(5)]
    for p in procedures:
        callee.register(p)
    callers = [join(routerd, s) for s in ("json", "msgpack", "cbor")]

    def call(number, caller):
        requests = [caller.start_call(procedures[i % 5], [number, i]) for i in range(count)]
        for i, request in enumerate(requests):
            assert caller.result(request) == ([number, i], {})

    def serve():
        following = [0] * len(callers)
        for _ in range(count * len(callers)):
            message = callee.expect(INVOCATION)
            number, i = message[4]
            assert i == following[number]
            following[number] += 1
            callee.send([70, message[1], {}, message[4]])

    in_threads(serve, *[lambda n=n, c=c: call(n, c) for n, c in enumerate(callers)])
    routerd.check_threads()


def test_invocation_ids_count_up_by_one_for_each_callee(routerd, join):
    caller, one, two = join(routerd), join(routerd), join(routerd)
    one.register("com.example.one")
    two.register("com.example.two")
    for client, procedure in ((one, "com.example.one"), (two, "com.example.two")):
        for i in range(1, 6):
            request = caller.start_call(procedure, [i])
            message = client.expect(INVOCATION)
            assert message[1] == i
            client.send([70, message[1], {}])
            caller.result(request)


def test_results_may_come_in_another_order_than_calls(routerd, join):
    caller, callee = join(routerd, "msgpack"), join(routerd, "json")
    callee.register("com.example.slow")
    requests = [caller.start_call("com.example.slow", [i]) for i in range(10)]
    invocations = [callee.expect(INVOCATION) for _ in range(10)]
    for message in reversed(invocations):
        callee.send([70, message[1], {}, message[4]])
    for i in reversed(range(10)):
        assert caller.result(requests[i]) == ([i], {})


def test_invocations_are_numbered_without_gaps(routerd, join):
    """Some CALLs have a NaN, which a callee with JSON cannot get. Some are canceled at once."""
    callee, callers = join(routerd, "json", roles=CANCELING), [join(routerd, s) for s in ("msgpack", "cbor")]
    callee.register("com.example.p")
    choose = random.Random(7)
    good, unanswered, seen = {}, [], 0
    for _ in range(20):
        for caller in callers:
            batch = []
            for _ in range(30):
                request = caller.next_request()
                fits, stays = choose.random() < 0.6, choose.random() < 0.7
                good[caller, request] = fits, stays
                batch.append([CALL, request, {}, "com.example.p", [callers.index(caller), request, 0.5 if fits else float("nan")]])
                if not stays:
                    batch.append([CANCEL, request, {"mode": "killnowait"}])
            caller.send(*batch)
        # the callee keeps some calls, and answers others out of order and those that were canceled
        while seen < sum(fits for fits, _ in good.values()):
            message = callee.recv()
            if message[0] == INTERRUPT:
                assert 0 < message[1] <= seen
                continue
            seen += 1
            assert message[:2] == [INVOCATION, seen]
            unanswered.append((seen, message[4]))
        choose.shuffle(unanswered)
        while len(unanswered) > 7:
            invocation, args = unanswered.pop()
            callee.send([YIELD, invocation, {}, args])
    for invocation, args in unanswered:
        callee.send([YIELD, invocation, {}, args])
    for (caller, request), (fits, stays) in good.items():
        while not any(m[0] == RESULT and m[1] == request or m[0] == ERROR and m[2] == request for m in caller.inbox):
            caller._receive()
        answer = next(m for m in caller.inbox if m[1 if m[0] == RESULT else 2] == request)
        caller.inbox.remove(answer)
        if fits and stays:
            assert answer == [RESULT, request, {}, [callers.index(caller), request, 0.5]]
        else:
            assert answer[4] in (["wamp.error.invalid_argument"] if stays else
                                 ["wamp.error.canceled"] if fits else
                                 ["wamp.error.canceled", "wamp.error.invalid_argument"])
    assert all(c.silent() == [] for c in callers)
