#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Knows two principals by their keys. Run it in place of authd: example.py [SOCKET]"""

import sys

import wampauth

PRINCIPALS = [
    {
        "authid": "client01@example.com", "realm": "devices", "role": "device",
        "extra": {"foo": 23},
        "keys": ["545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"],
    },
    {
        "authid": "client02@example.com", "realm": "devices", "role": "device",
        "extra": {"foo": 42, "bar": "baz"},
        "keys": ["9c194391af3bf566fc11a619e8df200ba02efb35b91bdd98b424f20f4163875e",
                 "585df51991780ee8dce4766324058a04ecae429dffd786ee80839c9467468c28"],
    },
]


def authenticate(realm, authid, details):
    """Returns the principal with this key. It may ask only for its own realm and authid."""
    pubkey = details["authextra"]["pubkey"]
    for p in PRINCIPALS:
        if pubkey in p["keys"] and realm in (None, p["realm"]) and authid in (None, p["authid"]):
            # the router checks that the client has the private key
            return {"realm": p["realm"], "role": p["role"], "authid": p["authid"],
                    "extra": p["extra"], "pubkey": pubkey}
    raise wampauth.Error("com.example.no_such_user",
                         f"no principal with matching public key 0x{pubkey}" if pubkey else
                         "authextra.pubkey must be a public key of 64 hex digits")


if __name__ == "__main__":
    wampauth.serve(sys.argv[1] if len(sys.argv) > 1 else "/run/authd/auth.sock", authenticate)
