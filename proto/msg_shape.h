/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of the messages that clients send: the elements of each message, and the options
 * that the router uses. Only msg.c reads them. Constants only; any thread.
 */
#ifndef PROTO_MSG_SHAPE_H
#define PROTO_MSG_SHAPE_H

#include "proto/msg.h"

enum option_kind {
	OPTION_BOOL,     /* bool */
	OPTION_TEXT,     /* slice; null and undefined count as absent */
	OPTION_ROLES,    /* HELLO's roles */
	OPTION_ROLE,     /* one role: a dict; its features: uint8_t */
	OPTION_FEATURES, /* a role's features; a value that is no dict counts as absent */
	OPTION_FEATURE,  /* a feature: true sets its bit, anything else does not */
	OPTION_METHODS,  /* HELLO's authmethods */
	OPTION_EXTRA,    /* HELLO's authextra */
	OPTION_HINT,     /* slice; a value of another type counts as absent */
	OPTION_GIVEN,    /* bool: is it there, and neither null nor undefined? */
	OPTION_NUMBER,   /* double; NaN for a value of another type */
	/* A list that says who may get an event; its elements are not checked. */
	OPTION_FILTER,
};

struct msg_option {
	struct slice name; /* a NUL follows it */
	enum option_kind kind;
	/* Of the field in struct msg, or for HELLO in struct msg_hello. OPTION_FILTER has
	 * the enum msg_filter here, and OPTION_FEATURE the bit. */
	size_t offset;
};

/* The options of one message type, or the keys of a dict inside its options. */
struct option_table {
	const struct msg_option *list;
	size_t count;
};

enum element {
	ELEMENT_NONE = 0, /* the message ends here */
	ELEMENT_REQUEST,
	ELEMENT_ID,
	ELEMENT_ERROR_TYPE,
	ELEMENT_URI,
	ELEMENT_REALM,
	ELEMENT_TEXT,
	ELEMENT_OPTIONS,
	ELEMENT_MAYBE_OPTIONS,
	ELEMENT_EXTRA,   /* of AUTHENTICATE */
	ELEMENT_PAYLOAD, /* optional Arguments and ArgumentsKw */
};

/* The elements of a message type. */
struct msg_shape {
	struct option_table options;
	uint8_t elements[6];  /* enum element; after the message type */
	const char *names[5]; /* of the elements, for struct msg_fault */
};

#define MSG_ARGUMENTS_KW "ArgumentsKw" /* the second element of ELEMENT_PAYLOAD */

/*
 * The messages that a client may send (specification: "Messages"). Types that clients do
 * not send have no elements.
 */
extern const struct msg_shape msg_shapes[WAMP_YIELD + 1];

/* Keys of dicts in HELLO.Details: of roles, of a role, of its features, of authextra. */
extern const struct option_table msg_client_roles, msg_role_keys, msg_feature_keys,
	msg_authextra_keys;

#endif
