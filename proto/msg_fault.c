/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Describes the errors of msg_read to the client that sent the message; see msg.h. No
 * state; any thread.
 */
#include "proto/msg.h"

#include "common/err.h"

#include <stdio.h>

/* The text for an error without an expected type. */
static const char *words(int err)
{
	switch (err) {
	case E_UTF8:
		return "a string is not UTF-8";
	case E_SURROGATE:
		return "a string has an unpaired surrogate, such as half of an emoji";
	case E_BASE64:
		return "a string begins with U+0000, which marks binary data, but no "
		       "base64 follows";
	case E_NAN:
		return "NaN and Infinity cannot be expressed in JSON";
	case E_DEPTH:
		return "lists and dicts are nested too deeply";
	case E_EXISTS:
		return "given twice";
	case E_TRUNCATED:
		return "the message is cut off";
	case E_TRAILING:
		return "extra bytes follow the message";
	case E_LIMIT:
		return "a list announces too many values that take no bytes";
	case E_UNSUPPORTED:
		return "a dict with '$' (a type for all values) is supported only in the "
		       "payload";
	case E_SYNTAX:
		return "malformed: does it use the negotiated serializer?";
	default:
		return err_str(err);
	}
}

/* Writes where the error is: "HELLO.Details.roles.caller". */
static void put_path(const struct msg *m, char *to, size_t size)
{
	const char *const parts[] = {
		m->type == 0 ? "message" : wamp_type_name(m->type),
		m->fault.element,
		m->fault.option,
		m->fault.option == NULL ? NULL : m->fault.sub,
	};
	int len = 0;

	to[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(parts) && (size_t)len < size; i++)
		if (parts[i] != NULL)
			len += snprintf(to + len, size - (size_t)len, "%s%s",
					i == 0 ? "" : ".", parts[i]);
}

void msg_fault_text(const struct msg *m, int err, char to[MSG_FAULT_TEXT_MAX])
{
	char path[80];

	put_path(m, path, sizeof(path));
	if (err == E_UNKNOWN && m->type == 0)
		snprintf(to, MSG_FAULT_TEXT_MAX,
			 "message: the type is not that of a message that clients send");
	else if (err == E_UNKNOWN)
		snprintf(to, MSG_FAULT_TEXT_MAX,
			 "%s (type %d) is not a message that clients send", path,
			 (int)m->type);
	else if (err == E_TYPE || err == E_NOTFOUND)
		snprintf(to, MSG_FAULT_TEXT_MAX, "%s: %sexpected %s", path,
			 err == E_NOTFOUND ? "missing, " : "", m->fault.expected);
	else
		snprintf(to, MSG_FAULT_TEXT_MAX, "%s: %s", path,
			 words(err == E_VALUE ? m->fault.err : err));
}
