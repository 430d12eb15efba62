/* SPDX-License-Identifier: Apache-2.0 */
/* Single values of a configuration file, from text and back. For conf.c alone. No state;
 * any thread. */
#ifndef COMMON_CONF_VALUE_H
#define COMMON_CONF_VALUE_H

#include "common/base.h"

#include <sys/types.h>

/* A part of a message. */
struct conf_words {
	char text[320];
};

/* What may follow a number. An array of them begins with {"", 1} and ends with {NULL, 0}.
 */
struct conf_unit {
	const char *name;
	int64_t factor;
};

/* Digits, spaces, one of the units. False: it is none, or does not fit in *out. */
bool conf_number(const char *text, const struct conf_unit *units, int64_t *out);

/* A number in the largest unit in which it is whole: "1 MiB". */
struct conf_words conf_number_text(int64_t n, const struct conf_unit *units);

/* The mode of a socket's file, "0660". False: it is none, or nobody could connect. */
bool conf_mode(const char *text, mode_t *out);

/* The uid of a user, by name or number. False: the system does not know the name. */
bool conf_user(const char *name, uid_t *out);

#endif
