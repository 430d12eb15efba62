# SPDX-License-Identifier: Apache-2.0
"""What clients can send through the Python kit to a site's function, and what the function may return."""

import asyncio
import threading

import kit
import msgpack
import pytest
import utils
from kit import error_of, form, serve, wampauth  # noqa: F401 (fixtures)
from rpcclient import RpcError, router

pytestmark = pytest.mark.python

KEY1 = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"


# --- what clients send ----------------------------------------------------------------------


def test_authextra_may_hold_anything(serve):
    """Extension types, and maps and arrays as keys, which Python's dicts cannot hold."""
    seen = []

    async def authenticate(realm, authid, details):
        seen.append(details["authextra"])
        return {"role": "r"}

    rpc = router(serve(authenticate))
    for extra in (
        b"\x82\xa6pubkey\xd9\x40" + KEY1.upper().encode() + b"\xa1e\xd4\x05\x01",  # an extension
        b"\x82\xa6pubkey\xd9\x40" + KEY1.encode() + b"\xa1e\xd6\xff\x00\x00\x00\x05",  # a timestamp
        b"\x82\x80\x01\xa6pubkey\xd9\x40" + KEY1.encode(),  # a map as a key
        b"\x82\x90\x01\xa6pubkey\xd9\x40" + KEY1.encode(),  # an array as a key
        b"\x82\xd4\x05\x01\x01\xa6pubkey\xd9\x40" + KEY1.encode(),  # an extension as a key
        b"\x83\x01\x02\xc0\x03\xa6pubkey\xd9\x40" + KEY1.encode(),  # numbers and nil as keys
        # such keys in a nested map
        b"\x82\xa1m\x81\x81\x01\x02\x03\xa6pubkey\xd9\x40" + KEY1.encode(),
    ):
        rpc.raw(b"\x94\x00\x07\xacauthenticate\x93\xc0\xc0\x81\xa9authextra" + extra)
        assert rpc.answer_to(7) == {"role": "r"}
        assert seen[-1]["pubkey"] == KEY1
    assert seen[0]["e"] == msgpack.ExtType(5, b"\x01") and seen[-1]["m"] == {}
    for extra in ({}, {"authextra": None}, {"authextra": []}, {"authextra": {}}, {"authextra": {"pubkey": "xyz"}}):
        assert rpc.call("authenticate", None, None, extra) == {"role": "r"}
        assert seen[-1]["pubkey"] is None


# --- what a site answers --------------------------------------------------------------------

class Stubborn(dict):
    def get(self, *args):
        raise RuntimeError("do not touch")


DEEP = {"a": [[[[[[[[[[[[[1]]]]]]]]]]]]]}
WRONG = {
    "nothing": (None, "authenticate: expected a dict, not NoneType"),
    "a text": ("device", "authenticate: expected a dict, not str"),
    "a list": ([], "authenticate: expected a dict, not list"),
    "a dict of its own kind": (Stubborn(role="r"), "do not touch"),
    "no role": ({}, "role: required, but missing"),
    "an empty role": ({"role": ""}, "role: expected text of 1 to 255 bytes"),
    "a long role": ({"role": "é" * 128}, "role: expected text"),
    "a role that is no text": ({"role": 5}, "role: expected text"),
    "half a character": ({"role": "\ud83d"}, "surrogates not allowed"),
    "a realm that is no URI": ({"role": "r", "realm": "a b"}, "realm: expected a URI"),
    "a long authid": ({"role": "r", "authid": "x" * 256}, "authid: expected text"),
    "bytes as authid": ({"role": "r", "authid": b"x"}, "authid: expected text"),
    "a number as authprovider": ({"role": "r", "authprovider": 1}, "authprovider: expected text"),
    "a short key": ({"role": "r", "pubkey": "00" * 31}, "pubkey: expected 64 hex digits"),
    "a raw key": ({"role": "r", "pubkey": b"0" * 32}, "pubkey: expected 64 hex digits"),
    "a secret of bytes": ({"role": "r", "secret": b"x"}, "secret: expected text of 1 to 4096 bytes"),
    "a long secret": ({"role": "r", "secret": "x" * 4097}, "secret: expected text of 1 to 4096 bytes"),
    "no iterations": ({"role": "r", "secret": "x", "salt": "y", "iterations": 0}, "iterations: expected a number from 1 to 10000000"),
    "a short key": ({"role": "r", "derived_key": "x", "salt": "y", "keylen": 15}, "keylen: expected a number from 16 to 64"),
    "a key in pubkeys": ({"role": "r", "pubkeys": KEY1}, "pubkeys: expected a list"),
    "17 keys": ({"role": "r", "pubkeys": [KEY1] * 17}, "at most 16"),
    "16 keys and one": ({"role": "r", "pubkeys": [KEY1] * 16, "pubkey": KEY1}, "pubkey and pubkeys: expected at most 16 keys"),
    "a negative epoch": ({"role": "r", "epoch": -1}, "epoch: expected an integer"),
    "True as epoch": ({"role": "r", "epoch": True}, "epoch: expected an integer from 0 to 2^63-1"),
    "a large epoch": ({"role": "r", "epoch": 1 << 63}, "epoch: expected an integer"),
    "True as iterations": ({"role": "r", "secret": "x", "salt": "y", "iterations": True}, "iterations: expected a number"),
    "many iterations": ({"role": "r", "secret": "x", "salt": "y", "iterations": 10_000_001}, "iterations: expected a number"),
    "half an iteration": ({"role": "r", "secret": "x", "salt": "y", "iterations": 1.5}, "iterations: expected a number"),
    "True as keylen": ({"role": "r", "derived_key": "x", "salt": "y", "keylen": True}, "keylen: expected a number"),
    "True as memory": ({"role": "r", "kdf": "x", "memory": True}, "memory: expected a number from 1 to 2^32-1"),
    "much memory": ({"role": "r", "kdf": "x", "memory": 1 << 32}, "memory: expected a number from 1 to 2^32-1"),
    "a list as extra": ({"role": "r", "extra": [1]}, "extra: expected a dict"),
    "a number as key": ({"role": "r", "extra": {1: 2}}, "result.extra: keys must be text"),
    "a long text": ({"role": "r", "extra": {"a": ["x" * 16385]}}, "result.extra.a[]: longer than 16384"),
    "a long key": ({"role": "r", "extra": {"x" * 16385: 1}}, "a key of result.extra: longer"),
    "long bytes": ({"role": "r", "extra": {"a": b"x" * 16385}}, "result.extra.a: longer"),
    "a large map": ({"role": "r", "extra": {str(i): i for i in range(257)}}, "result.extra: more than 256 keys"),
    "too deep": ({"role": "r", "extra": {"a": DEEP}}, "nested too deeply"),
    "a set": ({"role": "r", "extra": {"a": {1}}}, "result.extra.a: a set cannot be sent"),
    "an extension": ({"role": "r", "extra": {"a": msgpack.ExtType(5, b"x")}}, "a ExtType cannot be sent"),
    "a timestamp": ({"role": "r", "extra": {"a": msgpack.Timestamp(5)}}, "a Timestamp cannot be sent"),
    "a large number": ({"role": "r", "extra": {"a": 1 << 64}}, "result.extra.a: the number does not fit"),
    "in a key unknown": ({"role": "r", "cache": "x" * 16385}, "result.cache: longer"),
    "a large answer": ({"role": "r", "extra": {c: "x" * 16000 for c in "abcde"}}, "the router accepts only 65536"),
    "no URI": (wampauth.Error("not a uri"), "expected a URI"),
    "a long URI": (wampauth.Error("x" * 256), "expected a URI"),
    "a URI of bytes": (wampauth.Error(b"a.b"), "expected a URI"),
    "an unknown kind": (wampauth.Error(kind="perhaps"), "Error.kind: expected deny, ignore or temporary"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_answer_costs_one_client(serve, what, caplog):
    answer, expected = WRONG[what]

    async def authenticate(realm, authid, details):
        if authid == "good":
            return {"role": "r", "extra": {"a": [1.5, None, True, b"x", ("t",), {"b": -1}]}, "epoch": None}
        if isinstance(answer, Exception):
            raise answer
        return answer

    rpc = router(serve(authenticate))
    error = error_of(rpc, None, "bad", {"corr": "c17"})
    assert error["kind"] == "internal" and expected in error["detail"], error
    assert "corr=c17" in caplog.text and expected in caplog.text
    utils.wait_for(lambda: rpc.call("ping")["inflight"] == 0, "the question to be done")
    assert rpc.call("authenticate", None, "good", {})["role"] == "r"


SCRAM = {"kdf": "pbkdf2", "salt": "00" * 16, "iterations": 4096, "stored-key": KEY1, "server-key": KEY1}
ENOUGH = {  # by authmethod; without any of the keys it is not
    "anonymous": {}, "ticket": {}, "unknown": {}, "cookie": {"authid": "a"}, "tls": {"authid": "a"},
    "cryptosign": {"authid": "a", "pubkey": KEY1}, "wampcra": {"secret": "s"}, "scram": SCRAM, "wamp-scram": SCRAM,
}


@pytest.mark.parametrize("method", ENOUGH)
def test_what_a_method_needs(serve, method):
    answers = {}

    async def authenticate(realm, authid, details):
        return answers[authid]

    rpc = router(serve(authenticate))
    answers["enough"] = {"role": "r", **ENOUGH[method]}
    assert rpc.call("authenticate", None, "enough", {"authmethod": method}) == answers["enough"]
    for key in ENOUGH[method]:
        answers[key] = {k: v for k, v in answers["enough"].items() if k != key}
        assert f"required with {method}, but missing" in error_of(rpc, None, key, {"authmethod": method})["detail"]
    if method == "cryptosign":
        answers["other"] = {"role": "r", "authid": "a", "pubkeys": [KEY1]}
        assert rpc.call("authenticate", None, "other", {"authmethod": method}) == answers["other"]
        answers["none"] = {"role": "r", "authid": "a", "pubkeys": []}
        assert "pubkey or pubkeys: required with cryptosign" in error_of(rpc, None, "none", {"authmethod": method})["detail"]
    if method == "wampcra":
        answers["other"] = {"role": "r", "derived_key": "aGV5", "salt": "s"}
        assert rpc.call("authenticate", None, "other", {"authmethod": method}) == answers["other"]


WRONG_DECISIONS = {
    "nothing": (None, "authorize: expected True, False or a dict, not NoneType"),
    "a number": (1, "authorize: expected True, False or a dict, not int"),
    "a text": ("yes", "authorize: expected True, False or a dict, not str"),
    "no decision": ({}, "allow: required, but missing"),
    "nothing decided": ({"allow": None}, "allow: required, but missing"),
    "a number as allow": ({"allow": 1}, "allow: expected True or False"),
    "a text as disclose": ({"allow": True, "disclose": "yes"}, "disclose: expected True or False"),
    "a number as cache": ({"allow": True, "cache": 0}, "cache: expected True or False"),
    "True as time": ({"allow": True, "cache": True, "cache_ttl_ms": True}, "cache_ttl_ms: expected an integer from 0"),
    "a negative time": ({"allow": True, "cache": True, "cache_ttl_ms": -1}, "cache_ttl_ms: expected an integer from 0"),
    "a long time": ({"allow": True, "cache": True, "cache_ttl_ms": 1 << 63}, "cache_ttl_ms: expected an integer from 0"),
    "half a time": ({"allow": True, "cache": True, "cache_ttl_ms": 0.5}, "cache_ttl_ms: expected an integer from 0"),
    "a number as key": ({"allow": True, 1: 2}, "keys must be text"),
    "in a key unknown": ({"allow": True, "why": "x" * 16385}, "result.why: longer"),
}
DECISIONS = [True, False, {"allow": False}, {"allow": True, "disclose": None, "cache": None, "cache_ttl_ms": None},
             {"allow": True, "cache": True, "cache_ttl_ms": 0}, {"allow": True, "cache": True, "cache_ttl_ms": (1 << 63) - 1}]


def test_wrong_decisions_cost_one_request(serve, form, caplog):
    """The kit refuses what routerd would refuse, and the log says why."""
    async def authorize(details, uri, action, options):
        return DECISIONS[int(uri)] if uri.isdigit() else WRONG_DECISIONS[uri][0]

    rpc = router(serve(kit.echo, authorize=kit.in_form(form, authorize)))

    def ask(uri):
        return rpc.call("authorize", {"session": 7}, uri, "call", {})

    for what, (_, expected) in WRONG_DECISIONS.items():
        with pytest.raises(RpcError) as e:
            ask(what)
        assert e.value.args[0]["kind"] == "internal" and expected in e.value.args[0]["detail"], what
        assert expected in caplog.text and 'authorize has returned a wrong value corr=session 7' in caplog.text
    for i, decision in enumerate(DECISIONS):
        assert ask(str(i)) == decision


def test_what_just_fits(serve):
    answer = {"role": "é" * 127, "pubkeys": (KEY1,) * 16, "epoch": (1 << 63) - 1,
              "extra": {"a": "x" * 16384, "m": {str(i): i for i in range(256)}, "d": DEEP["a"][0]}}

    async def authenticate(realm, authid, details):
        return answer

    assert router(serve(authenticate)).call("authenticate", None, None, {})["extra"] == answer["extra"]


def test_a_router_that_takes_less(serve):
    async def authenticate(realm, authid, details):
        return {"role": "r", "extra": {"a": "x" * int(authid)}}

    rpc = router(serve(authenticate), max_message=4096)
    assert rpc.call("authenticate", None, "3900", {})
    assert "accepts only 4096" in error_of(rpc, None, "4100", {})["detail"]


@pytest.mark.parametrize("message,sent", [
    ("x" * 20000, "x" * 16384), ("é" * 10000, "é" * 8192), ("\ud83d", "?"), (ValueError("five"), "five"), (None, "None"),
], ids=["long", "two bytes", "surrogate", "exception", "None"])
def test_messages_are_made_fit(serve, message, sent):
    """A denial stays a denial, whatever its text contains."""
    async def authenticate(realm, authid, details):
        raise wampauth.Error("a.b", message)

    assert error_of(router(serve(authenticate)), None, None, {}) == {"kind": "deny", "uri": "a.b", "message": sent}


class Nasty(BaseException):
    pass


@pytest.mark.parametrize("exception", [
    ConnectionRefusedError("secret"), KeyError("secret"), TimeoutError(), SystemExit(1), KeyboardInterrupt(), Nasty(),
    StopIteration(), asyncio.CancelledError(), GeneratorExit(), MemoryError(),
], ids=lambda e: type(e).__name__)
def test_every_other_exception_is_temporary(serve, exception, caplog):
    """A back-end that is down, or a bug, is a temporary error. Details are in the log, not in the answer."""
    async def authenticate(realm, authid, details):
        if authid == "good":
            return {"role": "r"}
        raise exception

    rpc = router(serve(authenticate))
    error = error_of(rpc, None, "bad", {"corr": "c17"})
    # Python turns a StopIteration in a coroutine into a RuntimeError
    name = "RuntimeError" if isinstance(exception, StopIteration) else type(exception).__name__
    assert error == {"kind": "temporary", "detail": name}
    assert "corr=c17" in caplog.text and "Traceback" in caplog.text and "in authenticate" in caplog.text
    assert rpc.call("authenticate", None, "good", {})


def test_a_plain_function_may_raise_stop_iteration(folder):
    served = kit.Served(folder / "own.sock", lambda *args: next(iter([])))
    assert error_of(router(served.path), None, None, {}) == {"kind": "temporary", "detail": "StopIteration"}
    served.close()
    utils.wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("authenticate")],
                   "the threads to end")


def test_kinds(serve):
    async def authenticate(realm, authid, details):
        raise wampauth.Error("a.b", "later", kind=authid)

    rpc = router(serve(authenticate))
    for kind in ("deny", "ignore", "temporary"):
        assert error_of(rpc, None, kind, {}) == {"kind": kind, "uri": "a.b", "message": "later"}
