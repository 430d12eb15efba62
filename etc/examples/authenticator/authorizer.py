#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Knows the principals of example.py, and what each may do: authorizer.py [SOCKET]

In routerd's configuration the role "device" has this authenticator as its authorizer, in place of
permissions.
"""

import sys

import example
import wampauth


def authorize(details, uri, action, options):
    """A device may call anything, and use the topics and procedures below its own name."""
    name = details["authid"].split("@")[0]
    if action == "call" or uri.startswith(f"com.example.devices.{name}."):
        return {"allow": True, "cache": True}  # depends only on authid, action and uri
    raise wampauth.Error("com.example.not_yours", f"{name} may not {action} {uri}")


if __name__ == "__main__":
    wampauth.serve(sys.argv[1] if len(sys.argv) > 1 else "/run/authd/auth.sock",
                   example.authenticate, authorize=authorize)
