#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks tickets (passwords): tickets.py FILE [SOCKET]. Makes a hash for FILE: tickets.py --hash

A line of FILE is: AUTHID REALM ROLE HASH
"""

import getpass
import hashlib
import hmac
import os
import sys

import wampauth


def make_hash(ticket, salt):
    # 16 MiB and about 50 ms for each login
    return salt.hex() + ":" + hashlib.scrypt(ticket.encode(), salt=salt, n=1 << 14, r=8, p=1).hex()


NOBODY = ("", "", make_hash("", os.urandom(16)))


def authenticate(realm, authid, details):
    """Returns the principal with this authid, if the ticket is its own."""
    with open(sys.argv[1], encoding="utf-8") as file:
        known = {fields[0]: fields[1:] for fields in map(str.split, file) if len(fields) == 4}
    # an unknown authid takes as long as a known one
    own_realm, role, own_hash = known.get(authid, NOBODY)
    salt = bytes.fromhex(own_hash.split(":")[0])
    if (not hmac.compare_digest(make_hash(details["ticket"], salt), own_hash)
            or authid not in known or realm not in (None, own_realm)):
        raise wampauth.Error("com.example.wrong_ticket", "unknown authid or wrong ticket")
    return {"realm": own_realm, "role": role, "authid": authid}


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--hash":
        print(make_hash(getpass.getpass("ticket: "), os.urandom(16)))
    else:
        wampauth.serve(sys.argv[2] if len(sys.argv) > 2 else "/run/tickets/auth.sock", authenticate)
