# SPDX-License-Identifier: Apache-2.0
"""Logins by ticket. The tests of states, revocations, time-outs and outages, which run for every
login method, are in test_authenticator.py, test_revocation.py, test_states.py and test_retry.py."""

import peers
import pytest
import rawclient
from authenticator import Authenticator, Deny
from rawclient import ABORT, AUTHENTICATE, CHALLENGE, SERIALIZERS, WELCOME, Aborted
from utils import Ticket, router_config

pytestmark = pytest.mark.parametrize("transport", rawclient.TRANSPORTS, indirect=True)

AUTHID = "joe@example.com"
TICKET = Ticket("s3cret-\u2603")


def site(realm, authid, details):
    """Knows one ticket."""
    if authid != AUTHID or details["ticket"] != TICKET.ticket:
        raise Deny("com.example.wrong_ticket", "wrong ticket")
    return {"realm": "devices", "role": "device", "extra": {"foo": 23}}


@pytest.fixture
def fake(folder):
    a = Authenticator(folder, site)
    yield a
    a.stop()


@pytest.fixture
def ticket_routerd(fake, start_routerd, threads):
    return start_routerd(threads=threads)


def refused(client, **kw):
    with pytest.raises(Aborted) as aborted:
        client.join(**kw)
    client.wait_closed()
    return aborted.value


@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_the_right_ticket(ticket_routerd, join, serializer):
    details = join(ticket_routerd, serializer, key=TICKET, authid=AUTHID).details
    assert details["realm"] == "devices"
    assert details["authid"] == AUTHID
    assert details["authrole"] == "device"
    assert details["authmethod"] == "ticket"
    assert details["authprovider"] == "dynamic"
    assert details["authextra"]["foo"] == 23


def test_the_wrong_ticket(ticket_routerd, connect):
    aborted = refused(connect(ticket_routerd), key=Ticket("guess"), authid=AUTHID)
    assert aborted.uri == "com.example.wrong_ticket"
    assert aborted.details == {"message": "wrong ticket"}
