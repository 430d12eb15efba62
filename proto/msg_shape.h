/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of the messages that clients send: the elements of each message, and the options
 * that the router uses. Only msg.c reads them. Constants only; any thread.
 */
#ifndef PROTO_MSG_SHAPE_H
#define PROTO_MSG_SHAPE_H

#include "proto/msg.h"

/*
 * The kinds of options, with the value that is expected; NULL if any type is allowed.
 *
 *   BOOL      stored as a bool; null and undefined count as absent
 *   TEXT      stored as a slice; null and undefined count as absent
 *   ROLES     HELLO's roles
 *   ROLE      one role, a dict; its features are stored as the bits of a uint8_t
 *   FEATURES  the dict of a role's features; a value of another type counts as absent
 *   FEATURE   one feature; true sets its bit, any other value is ignored
 *   METHODS   HELLO's authmethods
 *   EXTRA     HELLO's authextra
 *   HINT      stored as a slice; a value of another type counts as absent
 *   BINDING   HELLO's channel_binding: like HINT, but any value but null is noted
 *   NUMBER    stored as a double; a value of another type becomes NaN
 *   FILTER    a list that selects the receivers of an event, stored as encoded; its type
 *             and elements are not checked
 *   PASSTHRU  a text that describes the payload, stored as encoded; its type is not
 *             checked
 */
#define OPTION_KINDS(X)                                                                  \
	X(BOOL, "a boolean")                                                             \
	X(TEXT, "a string")                                                              \
	X(ROLES, "a dict with at least one of publisher, subscriber, caller and callee") \
	X(ROLE, "a dict")                                                                \
	X(FEATURES, NULL)                                                                \
	X(FEATURE, NULL)                                                                 \
	X(METHODS, "a list of strings")                                                  \
	X(EXTRA, "a dict")                                                               \
	X(HINT, NULL)                                                                    \
	X(BINDING, NULL)                                                                 \
	X(NUMBER, NULL)                                                                  \
	X(FILTER, NULL)                                                                  \
	X(PASSTHRU, NULL)

enum option_kind {
#define X(kind, expected) OPTION_##kind,
	OPTION_KINDS(X)
#undef X
};

struct msg_option {
	struct slice name; /* a NUL follows it */
	enum option_kind kind;
	/* Of the field in struct msg, or for HELLO in struct msg_hello. OPTION_FILTER has
	 * the enum msg_filter here, OPTION_PASSTHRU the enum msg_passthru, and
	 * OPTION_FEATURE the bit. */
	size_t offset;
};

/* The options of one message type, or the keys of a dict inside its options. */
struct option_table {
	const struct msg_option *list;
	size_t count;
};

/*
 * The elements of messages, with the value that is expected. NONE: the message ends here.
 * EXTRA: AUTHENTICATE's Extra. PAYLOAD: the optional Arguments and ArgumentsKw;
 * fail_in_payload in msg.c has their descriptions.
 */
#define ELEMENTS(X)                                                                      \
	X(NONE, "nothing after it")                                                      \
	X(REQUEST, "an integer from 1 to 2^53")                                          \
	X(ID, "an integer from 1 to 2^53")                                               \
	X(ERROR_TYPE, "the number of a message type")                                    \
	X(URI, "a string")                                                               \
	X(REALM, "a string")                                                             \
	X(TEXT, "a string")                                                              \
	X(OPTIONS, "a dict")                                                             \
	X(MAYBE_OPTIONS, "a dict")                                                       \
	X(EXTRA, "a dict")                                                               \
	X(PAYLOAD, NULL)

enum element {
#define X(name, expected) ELEMENT_##name,
	ELEMENTS(X)
#undef X
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
