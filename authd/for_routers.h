/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a router asks and tells, and what authd answers: "routerd to authd" in
 * proto/auth-protocol.md. Main thread.
 */
#ifndef AUTHD_FOR_ROUTERS_H
#define AUTHD_FOR_ROUTERS_H

#include "authd/server.h"

extern const struct role for_routers;

#endif
