/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Converts single values of a configuration file, or of a command line, from text and to
 * text. No state; any thread.
 */
#ifndef COMMON_CONF_VALUE_H
#define COMMON_CONF_VALUE_H

#include "common/base.h"

#include <sys/types.h>

/* A part of a message, cut to fit. */
struct conf_words {
	char text[320];
};

/* A unit that may follow a number. {NULL, 0} ends an array of units. */
struct conf_unit {
	const char *name;
	int64_t factor;
};

/*
 * Reads digits, optional spaces and one of the units. False if the text has another form,
 * or the number does not fit.
 */
bool conf_number(const char *text, const struct conf_unit *units, int64_t *out);

/*
 * Formats a number in the largest unit in which it is an integer: "1 MiB". The first unit
 * must be {"", 1}.
 */
struct conf_words conf_number_text(int64_t n, const struct conf_unit *units);

/*
 * Reads the mode of a socket's file, "0660". False if it is not a mode, or gives no one
 * the right to connect.
 */
bool conf_mode(const char *text, mode_t *out);

/* Finds a user's uid, by name or number. False if the system does not know the name. */
bool conf_user(const char *name, uid_t *out);

#endif
