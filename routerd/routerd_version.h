/* SPDX-License-Identifier: Apache-2.0 */
/* The version of routerd: a constant, for any thread. */
#ifndef ROUTERD_ROUTERD_VERSION_H
#define ROUTERD_ROUTERD_VERSION_H

#define ROUTERD_VERSION "0.1.0"

#endif
