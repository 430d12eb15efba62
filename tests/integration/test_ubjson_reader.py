# SPDX-License-Identifier: Apache-2.0
"""The reader of UBJSON and py-ubjson accept the same inputs, and read the same values from them."""

import collections
import decimal
import io
import math
import random
import resource
import struct
import subprocess
from pathlib import Path

import ubjson
import utils

SEEDS = [ubjson.dumpb(v, container_count=count) for count in (False, True) for v in [
    [16, 239714735, {"exclude_me": False}, "com.myapp.topic", [1, -1, 300, -70000, 2**40, 0.5, None], {"k": b"\0\xff"}],
    [True, "a", "", "\u20ac", {"": {"a": [], "b": {}}}, [[[]], [{}]], 2**64, decimal.Decimal("-1.5E+3"), 0.0],
]] + [b"[$Z#U\2", b"[[$T#U\3[$F#U\0]", b"{$Z#U\2U\1aU\0", b"[$i#U\2\xff\1", b"[$S#U\2U\1ai\0", b"[$[#U\3]#U\1T$U#U\2ab",
      b"{$D#U\1U\1a" + bytes(8), b"[NNTN]", b"{NU\1aTNN}", b"[$C#U\2ab", b"[${#U\2}$T#U\1U\1a", b"[#U\2NZNd\x7f\xc0\0\0",
      b"[" * 63 + b"]" * 63, b"[" * 65 + b"]" * 65, b"[$Z#U\x40", b"[$T#U\x41"]


def mutated(rng):
    sample = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(sample) + 1)
        end = min(len(sample), at + rng.randrange(8))
        piece = sample[at:end]
        change = rng.randrange(4)
        if change == 0:
            sample[at:at + 1] = bytes([rng.choice(b"ZTFNiUIlLdDHCS[]{}$#\0\1\2\x7f\xff")])
        elif change == 1:
            sample[at:end] = b""
        elif change == 2:
            to = rng.randrange(len(sample) + 1)
            sample[to:to] = piece
        elif rng.randrange(4) == 0:
            del sample[at:]
    return bytes(sample)


class Pairs(list):
    """A dict, also with keys that come twice."""


def show(value):
    """As show_token in tests/unit/token_check.h."""
    if value is None or isinstance(value, bool):
        return {None: b"null", True: b"true", False: b"false"}[value]
    if isinstance(value, decimal.Decimal):
        text = str(value)
        if set(text) & set(".E"):
            return b"opaque"
        return (text if -2**63 <= value < 2**64 else "n" + text).encode()
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        return b"f%s" % ("nan" if math.isnan(value) else f"{value:.17g}").encode()
    if isinstance(value, str):
        return b"'" + value.encode() + b"'"
    if isinstance(value, bytes):
        return b"h'" + value.hex().encode() + b"'"
    if isinstance(value, Pairs):
        return b"{" + b" ".join(show(x) for pair in value for x in pair) + b"}"
    return b"[" + b" ".join(map(show, value)) + b"]"


def judge(sample):
    """What py-ubjson reads: (bytes used, shown), or None."""
    stream = io.BytesIO(sample)
    try:
        value = ubjson.load(stream, object_pairs_hook=Pairs)
        return stream.tell(), show(value)
    except (ubjson.DecoderException, MemoryError, OverflowError, UnicodeError):
        return None


def may_differ(sample, error):
    """The inputs that py-ubjson and we are known to read differently."""
    return (error in ("nested too deeply", "over the limit")
            or b"H" in sample  # py-ubjson reads more than JSON's numbers
            or b"N" in sample)  # py-ubjson refuses no-ops before the first item, and in dicts of Z, T and F


def test_reads_what_py_ubjson_reads():
    rng = random.Random(20261129)
    samples = [mutated(rng) for _ in range(20000)]
    tool = subprocess.run([utils.BUILD / "tools/ubjson"], check=True, capture_output=True,
                          input=b"".join(struct.pack("!I", len(s)) + s for s in samples))
    lines = tool.stdout.decode().splitlines()
    assert len(lines) == len(samples)
    counts = collections.Counter()
    # py-ubjson allocates what a head announces
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
    try:
        for sample, line in zip(samples, lines):
            ours = None
            if line.startswith("ok "):
                _, used, shown = line.split(" ")
                ours = int(used), bytes.fromhex(shown)
            theirs = None if line == "over the limit" else judge(sample)
            if ours != theirs and may_differ(sample, line):
                counts["excluded"] += 1
                continue
            assert ours == theirs, (sample, line)
            counts["accepted" if ours else "refused"] += 1
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert counts["accepted"] > 5000 and counts["refused"] > 5000 and counts["excluded"] < 1000
