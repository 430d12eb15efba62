/* SPDX-License-Identifier: Apache-2.0 */
/* The version of authd and authctl: a constant, for any thread. */
#ifndef AUTHD_AUTHD_VERSION_H
#define AUTHD_AUTHD_VERSION_H

#define AUTHD_VERSION "0.1.0"

#endif
