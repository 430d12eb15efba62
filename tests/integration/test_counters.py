# SPDX-License-Identifier: Apache-2.0
"""SIGUSR1: worker 0 logs the counters of all workers at once."""

import re

from utils import router_config

# --- what is logged -------------------------------------------------------------------------


def kinds(text):
    """What each line of counters is about, such as "worker=0"."""
    return [m.rstrip() for m in re.findall(r"\bcounters ((?:log|end|authenticator|reloads|\w+=\S+) )", text)]


def test_all_in_one_piece(start_routerd, threads, join):
    """Listeners, authenticators, then each worker with its realms, then the end."""
    config = router_config(threads=threads)
    config["realms"] = [dict(config["realms"][0], name=name) for name in ("devices", "b", "c")]
    routerd = start_routerd(config)
    text = routerd.log_counters()
    owned = {w: [name for i, name in enumerate(("devices", "b", "c")) if threads - 1 - i % threads == w]
             for w in range(threads)}
    expected = ["log", "listener=public", "authenticator", "reloads"]
    for worker, names in owned.items():
        expected += [f"worker={worker}", *(f"realm={name}" for name in names)]
    got = kinds(text)
    assert got == expected + ["end"]
    assert f"counters end workers={threads} answered={threads}\n" in text
