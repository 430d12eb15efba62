# SPDX-License-Identifier: Apache-2.0
"""Roles with an authorizer: an authenticator decides about each request, and the request waits for
its answer, with all that its client sends behind it."""

import pytest
from authenticator import HOLD, Authenticator, Deny, principal
from rawclient import CALL, ERROR, RESULT, WampError
from utils import Key, permission, router_config, wait_for

FEATURES = ("revoke", "cancel", "authorize")


def config(**kw):
    """Anonymous clients may do what the authorizer allows; "backend" may do anything."""
    timeout = kw.pop("timeout", None)
    result = router_config(**kw)
    result["realms"][0]["roles"] = [{"name": "device", "authorizer": "authd"},
                                    {"name": "backend", "permissions": [permission()]}]
    backend = {**result["transports"][0], "id": "backend", "auth": {"anonymous": {"type": "static", "role": "backend"}}}
    backend["endpoint"] = {**backend["endpoint"], "type": "unix", "path": "backend.sock"}
    for key in ("port", "interface"):
        backend["endpoint"].pop(key)
    result["transports"].append(backend)
    result["authenticators"] = {"authd": {"socket": "authd.sock"}}
    if timeout:
        result["authenticators"]["authd"]["timeout"] = timeout
    return result


@pytest.fixture
def authenticator(folder):
    """authenticator(authorize, answer=None, **kw) -> an Authenticator on authd.sock."""
    started = []

    def start(authorize, answer=None, features=FEATURES, **kw):
        started.append(Authenticator(folder, answer, features=features, authorize=authorize, **kw))
        return started[-1]

    yield start
    for a in started:
        a.stop()


@pytest.fixture
def backend(join):
    """backend(routerd) -> a raw client that may do anything, and serves com.example.echo."""
    def start(routerd, serializer="json"):
        client = join(routerd, serializer, listener=1)
        return client

    return start


def test_yes_and_no(authenticator, start_routerd, join, threads):
    a = authenticator(lambda details, uri, action, options: uri != "com.example.no")
    routerd = start_routerd(config(threads=threads))
    client = join(routerd)
    client.subscribe("com.example.yes")
    with pytest.raises(WampError) as e:
        client.subscribe("com.example.no")
    assert e.value.uri == "wamp.error.not_authorized"
    assert [(p[1], p[2]) for _, _, p in a.wait_requests(2, "authorize")] == [
        ("com.example.yes", "subscribe"), ("com.example.no", "subscribe")]
