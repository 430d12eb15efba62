/* SPDX-License-Identifier: Apache-2.0 */
/* What authctl asks about principals and keys: proto/admin_api.h. Main thread. */
#ifndef AUTHD_FOR_ADMINS_H
#define AUTHD_FOR_ADMINS_H

#include "authd/server.h"

extern const struct role for_admins;

#endif
