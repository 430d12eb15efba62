# SPDX-License-Identifier: Apache-2.0
"""Test values of all types, and a strict comparison of sent and received values."""

# values that every serializer and every client supports
COMMON = [
    None, True, False,
    0, 1, -1, 23, 24, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**53 - 1, -24, -25, -32, -33, -128, -129, -32768, -32769, -2**31, -2**31 - 1, -2**53 + 1,
    0.5, -0.1, 3.141592653589793, 1e300, -2.5e-300, 5e-324, 1.7976931348623157e308, 0.1 + 0.2,
    "", "ascii", "ünïcödé ☃ 😀 \u2028", "quote\" back\\slash / \n\r\t\b\f \u0001 \u007f",
    "a" * 23, "b" * 24, "c" * 31, "d" * 32, "e" * 255, "f" * 256, "g" * 70000,
    [], {}, [[[[[]]]]], {"a": {"b": [1, {"c": None}], "": ""}}, list(range(20)),
    {f"key{i}": i for i in range(20)}, [[i] for i in range(300)],
]

BINARY = [b"", b"\x00", b"\x00\x01\xfe\xff", bytes(range(256)), b"z" * 70000, {"in": [b"\xff"]}]

# values that JavaScript changes
EXACT = [2**53, -2**53, 2.0, -0.0, 1e15, 1e22]


def same(sent, received, javascript=False):
    """Whether the values are equal and of the same type. Only a double without a fraction may
    become an integer.

    JavaScript does not distinguish the two: wampy sends integers beyond 2^32 as doubles.
    """
    if isinstance(sent, float) and sent.is_integer():
        return type(received) in (int, float) and received == sent
    if javascript and type(sent) is int and isinstance(received, float):
        return sent == received
    if type(sent) is not type(received):
        return False
    if isinstance(sent, list):
        return len(sent) == len(received) and all(
            same(s, r, javascript) for s, r in zip(sent, received))
    if isinstance(sent, dict):
        return list(sorted(sent)) == list(sorted(received)) and all(
            same(sent[k], received[k], javascript) for k in sent)
    return sent == received


def check(sent, received, who="", javascript=False):
    """Asserts that both lists are the same; the message names the value that differs."""
    assert len(sent) == len(received), f"{who}: {len(sent)} values became {len(received)}"
    for s, r in zip(sent, received):
        assert same(s, r, javascript), f"{who}: {str(s)[:80]!r} became {str(r)[:80]!r}"
