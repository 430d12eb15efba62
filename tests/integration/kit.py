# SPDX-License-Identifier: Apache-2.0
"""Serves a site's functions with the Python kit, in a thread of this process or in a daemon.

Each function is written once, as a coroutine. The tests run it in both forms: as a coroutine, and
as a plain function that blocks its thread.
"""

import asyncio
import importlib.util
import socket
import sys
import threading

import pytest
import utils
from rpcclient import RpcError

FOLDER = utils.ROOT / "etc/examples/authenticator"
FORMS = ["threads", "asyncio"]


def _load():
    spec = importlib.util.spec_from_file_location("wampauth", FOLDER / "wampauth.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wampauth = _load()


def in_form(form, function):
    return function if form == "asyncio" else lambda *args: asyncio.run(function(*args))


def connects(path):
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Served:
    """Runs serve_async in a thread."""

    def __init__(self, path, authenticate, **options):
        self.path = path
        self.thread = threading.Thread(target=asyncio.run, args=(self._main(authenticate, options),), daemon=True)
        self.thread.start()
        utils.wait_for(lambda: connects(path) or not self.thread.is_alive(), "the kit")
        assert self.thread.is_alive()

    async def _main(self, authenticate, options):
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            await wampauth.serve_async(str(self.path), authenticate, **options)
        except asyncio.CancelledError:
            pass

    def close(self):
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.thread.join(10 * utils.SLOW)
        assert not self.thread.is_alive() and not self.path.exists()


def daemon(folder, form, source, name="site", authorize=False, **kw):
    """A process that runs `source` and serves its coroutine function `authenticate` at authd.sock."""
    script = folder / f"{name}.py"
    script.write_text(f"import asyncio, sys, threading, time\nsys.path.insert(0, {str(FOLDER)!r})\nimport wampauth\n"
                      f"{source}\n"
                      + ("" if form == "asyncio" else
                         "coroutine = authenticate\n"
                         "authenticate = lambda *args: asyncio.run(coroutine(*args))\n"
                         + authorize * ("decide = authorize\n"
                                        "authorize = lambda *args: asyncio.run(decide(*args))\n"))
                      + f'wampauth.serve("authd.sock", authenticate{", authorize=authorize" * authorize})\n')
    return utils.Daemon(name, [sys.executable, script], folder, wrap=False, **kw)


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.fixture
def serve(folder, form):
    """serve(coroutine function, **options) -> path of the socket; served by this process."""
    servers = []

    def start(authenticate, **options):
        path = folder / f"own{len(servers)}.sock"
        servers.append(Served(path, in_form(form, authenticate), **options))
        return path

    yield start
    for server in servers:
        server.close()


def error_of(rpc, *params):
    with pytest.raises(RpcError) as e:
        rpc.call("authenticate", *params)
    return e.value.args[0]


async def echo(realm, authid, details):
    return {"role": authid}
