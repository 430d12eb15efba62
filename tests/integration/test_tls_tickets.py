# SPDX-License-Identifier: Apache-2.0
"""Where a session ticket is good: at every worker of the listener that gave it. Nobody passes a client
certificate that is missing."""

import ssl

import pytest
import rawclient
from certificates import VERSIONS, authority, open_tls, tls_config  # noqa: F401
from utils import free_port

pytestmark = pytest.mark.parametrize("version", VERSIONS, ids=str)


@pytest.fixture
def visit(authority, open_tls, version):
    """visit(routerd, ...) -> (session, was an earlier session resumed?). The client joins and leaves."""
    context = authority.trust(version)

    def go(routerd, session=None, listener=0, context=context):
        client = open_tls(routerd, context=context, session=session, listener=listener)
        client.join()
        result = client.socket.session, client.socket.session_reused
        client.leave()
        client.close()
        return result

    return go


@pytest.mark.many_workers
def test_every_worker_resumes(authority, start_routerd, visit):
    routerd = start_routerd(tls_config(authority, cryptosign=False, threads=4))
    session, resumed = visit(routerd)
    assert not resumed and session.has_ticket
    for _ in range(8):
        assert visit(routerd, session)[1]
    workers = routerd.counters()
    done, again = [[w[name] for w in workers] for name in ("tls_handshakes", "tls_resumed")]
    assert sum(done) == 9 and sum(again) == 8
    # three workers have resumed a session that they have not made
    assert sorted(d - a for d, a in zip(done, again)) == [0, 0, 0, 1] and all(again), (done, again)


def two_listeners(authority, start_routerd, second):
    """A router whose second listener has these keys of `tls`."""
    config = tls_config(authority, cryptosign=False)
    first = config["transports"][0]
    endpoint = {**first["endpoint"], "port": free_port(), "tls": second}
    config["transports"].append({**first, "id": "second", "endpoint": endpoint})
    return start_routerd(config)


def test_another_listener_does_not_resume(authority, start_routerd, visit):
    """Not even with the same certificate."""
    routerd = two_listeners(authority, start_routerd, authority.server())
    for here, there in (0, 1), (1, 0):
        session, _ = visit(routerd, listener=here)
        assert visit(routerd, session, there)[1] is False
        assert visit(routerd, session, here)[1] is True


@pytest.mark.parametrize("rule", ["optional", "required"])
def test_client_certificates_are_shown_each_time(authority, start_routerd, visit, version, rule):
    authority.make("client01")
    tls = {**authority.server(), "ca_certificates": ["ca.pem"], "client_certificates": rule}
    routerd = two_listeners(authority, start_routerd, tls)
    shows = authority.trust(version, "client01")
    ticket, _ = visit(routerd, context=shows)
    session, resumed = visit(routerd, ticket, listener=1, context=shows)
    assert not resumed and not session.has_ticket
    assert visit(routerd, session, listener=1, context=shows)[1] is False
    # A ticket does not stand in for a certificate.
    ticket, _ = visit(routerd)
    if rule == "optional":
        assert visit(routerd, ticket, listener=1)[1] is False
    else:
        with pytest.raises((ssl.SSLError, ConnectionError, rawclient.Closed)):
            visit(routerd, ticket, listener=1)
    assert routerd.total("tls_resumed") == 0


def test_a_new_router_does_not_resume(authority, start_routerd, visit):
    routerd = start_routerd(tls_config(authority, cryptosign=False))
    session, _ = visit(routerd)
    routerd.stop()
    routerd.start()
    session, resumed = visit(routerd, session)
    assert not resumed
    assert visit(routerd, session)[1]
