/* SPDX-License-Identifier: Apache-2.0 */
/* The version of this product. */
#ifndef ROUTERD_ROUTERD_VERSION_H
#define ROUTERD_ROUTERD_VERSION_H

#define ROUTERD_VERSION "0.1.0"

#endif
