# SPDX-License-Identifier: Apache-2.0
"""routerd --check warns of each two permissions for which Crossbar.io decides differently. Both rules are
modeled here, and compared over many URIs and random permissions."""

import itertools
import json
import random
import re
import subprocess

import pytest
from utils import BUILD, tsan_prefix

NAMES = {"c": "call", "r": "register", "p": "publish", "s": "subscribe"}
WARNING = re.compile(r":(\d+):\d+: warning: this permission decides about '(.*)', and allows (.*)\. Crossbar\.io would "
                     r"(?:(ignore it)|(apply|apply none, because of) the one in line (\d+) \(.*\)), and allow (.*)$")


def wildcard_matches(pattern, uri):
    pattern, uri = pattern.split("."), uri.split(".")
    return len(pattern) == len(uri) and all(a in ("", b) for a, b in zip(pattern, uri))


def matches(rule, uri):
    if rule["match"] == "exact":
        return rule["uri"] == uri
    return uri.startswith(rule["uri"]) if rule["match"] == "prefix" else wildcard_matches(rule["uri"], uri)


def routerd_decides(rules, uri):
    """The most specific permission that matches."""
    found = [r for r in rules if matches(r, uri)]
    exact = [r for r in found if r["match"] == "exact"]
    prefixes = sorted((r for r in found if r["match"] == "prefix"), key=lambda r: len(r["uri"]))
    wild = sorted((r for r in found if r["match"] == "wildcard"),
                  key=lambda r: [part == "" for part in r["uri"].split(".")])
    if exact:
        return exact[0]
    if wild:
        parts = wild[0]["uri"].split(".")
        head = ".".join([*itertools.takewhile(bool, parts), ""])
        if not prefixes or len(head) >= len(prefixes[-1]["uri"]):
            return wild[0]
    return prefixes[-1] if prefixes else None


def crossbar_decides(rules, uri):
    """Its maps: the longest key that the URI begins with."""
    plain = {r["uri"]: r for r in rules if ".." not in r["uri"]}
    patterns = {r["uri"].split("..")[0]: r for r in rules if ".." in r["uri"]}

    def longest(table):
        keys = [k for k in table if uri.startswith(k)]
        return table[max(keys, key=len)] if keys else None

    rule, pattern = longest(plain), longest(patterns)
    if rule and rule["match"] != "prefix" and rule["uri"] != uri:
        rule = None
    if rule and rule["match"] == "exact":
        return rule
    if pattern and wildcard_matches(pattern["uri"], uri) and re.fullmatch(
            r"(([a-z0-9][a-z0-9_-]*)?(\.|$))*", pattern["uri"]):
        return pattern
    return rule


def allowed(rule):
    return rule["allow"] if rule else ""


PARTS = ["a", "b", "ab", "ba", "B", "q"]  # "q" is in no permission
URIS = [".".join(parts) for n in range(1, 5) for parts in itertools.product(PARTS, repeat=n)]


def random_rules(pick):
    rules = {}
    for _ in range(pick.randint(1, 4)):
        parts = [pick.choice(["a", "b", "ab", "a", "b", "B"]) for _ in range(pick.randint(1, 3))]
        match = pick.choice(["exact", "prefix", "wildcard", "wildcard"])
        if match == "wildcard":
            for _ in range(pick.randint(1, 2)):
                parts[pick.randrange(len(parts))] = ""
        uri = ".".join(parts)
        if match == "prefix":
            uri = pick.choice([uri, uri + ".", uri, ""])
        rules[uri, match] = {"uri": uri, "match": match, "allow": "".join(pick.sample("crps", pick.randint(0, 2)))}
    return list(rules.values())


def check(folder, rules):
    """The warnings of routerd --check: (URI, index of the permission that decides, of Crossbar.io's)."""
    lines = ["realms: [{name: devices, roles: [{name: device, permissions: ["]
    for r in rules:
        allow = {NAMES[letter]: True for letter in r["allow"]}
        lines.append(json.dumps({"uri": r["uri"], "match": r["match"], "allow": allow}) + ",")
    lines.append("]}]}]\ntransports: [{type: rawsocket, endpoint: {type: tcp, port: 1}, "
                 "auth: {anonymous: {type: static, role: device}}}]")
    (folder / "r.yaml").write_text("\n".join(lines))
    done = subprocess.run([*tsan_prefix(), BUILD / "routerd/routerd", "--check", "r.yaml"], cwd=folder,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pairs of this role" not in done.stderr and "too many wildcards" not in done.stderr

    def letters(text):
        return set() if text == "nothing" else {name[0] for name in text.split(", ")}

    found = []
    for line in done.stderr.splitlines():
        if "Crossbar" not in line:
            continue
        ours, uri, allows, ignored, verb, theirs, would = WARNING.search(line).groups()
        found.append((uri, int(ours) - 2, int(ours if ignored else theirs) - 2, verb == "apply",
                      letters(allows), letters(would)))
    return found


# only URIs such as "a.bq.b" show that the first permission makes Crossbar.io deny what the fourth one allows
RARE = [{"uri": uri, "match": match, "allow": allow} for uri, match, allow in (
    ("a.b", "exact", "c"), ("a.b.", "prefix", "c"), ("a.", "prefix", "c"), ("a..b", "wildcard", "c"),
    ("a..ab", "wildcard", "c"))]


@pytest.mark.single_threaded
def test_each_difference_is_reported(folder):
    pick, differing, same = random.Random(23), 0, 0
    for rules in [RARE, *(random_rules(pick) for _ in range(200))]:
        found = check(folder, rules)
        for uri, ours, theirs, applies, here, there in found:
            assert routerd_decides(rules, uri) is rules[ours], (rules, uri)
            verdict = crossbar_decides(rules, uri)
            assert verdict is (rules[theirs] if applies else None), (rules, uri)
            assert here == set(allowed(rules[ours])) != there == set(allowed(verdict)), (rules, uri)
        reported = {(ours, theirs if applies else None) for _, ours, theirs, applies, *_ in found}
        expected = set()
        for uri in URIS:
            ours, theirs = routerd_decides(rules, uri), crossbar_decides(rules, uri)
            if set(allowed(ours)) != set(allowed(theirs)):
                expected.add((rules.index(ours), rules.index(theirs) if theirs else None))
        assert expected <= reported, (rules, expected, reported)
        differing, same = differing + bool(expected), same + (not reported)
    assert differing > 50 and same > 50
