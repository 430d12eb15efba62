# SPDX-License-Identifier: Apache-2.0
"""peers.py measures every router that it finds. The page names its version and where it is published."""

import argparse

import peers

PROGRAMS = {
    "crossbar": "echo ' Crossbar.io        : 26.10.1 (main)'",
    "nexusd": "# dep\tgithub.com/gammazero/nexus/v3\tv3.3.0\th1:abc",
    "nxt": "echo '0.2.0 (abcdef)'",
    "xconn-router": "exit 3",
}


def test_found_routers(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "PEERS", tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name, text in PROGRAMS.items():
        assert not any(k.found() for k in peers.KINDS if getattr(k, "program", None) == name), name
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    kinds = [k for k in peers.KINDS if not hasattr(k, "found") or k.found()]
    assert kinds == peers.KINDS
    versions = {k: peers.version(k) for k in kinds}
    text = "\n".join(peers.page({}, kinds, versions, argparse.Namespace(rounds=1, seconds=1)))
    for line in ["Crossbar 26.10.1 (crossbar on PyPI)", "nexus 3.3.0 (github.com/gammazero/nexus)",
                 "xconn-go 0.2.0 (github.com/xconnio/xconn-go)", "xconn-router of unknown version (the crate xconn-core)"]:
        assert line in text
