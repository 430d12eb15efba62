/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WAMP's message codes, URIs and limits (specification: "Messages", "URI reference").
 * Constants only; any thread.
 */
#ifndef PROTO_WAMP_H
#define PROTO_WAMP_H

#include <stdint.h>

/* The message types, with their codes. */
#define WAMP_TYPES(X)                                                                    \
	X(HELLO, 1)                                                                      \
	X(WELCOME, 2)                                                                    \
	X(ABORT, 3)                                                                      \
	X(CHALLENGE, 4)                                                                  \
	X(AUTHENTICATE, 5)                                                               \
	X(GOODBYE, 6)                                                                    \
	X(ERROR, 8)                                                                      \
	X(PUBLISH, 16)                                                                   \
	X(PUBLISHED, 17)                                                                 \
	X(SUBSCRIBE, 32)                                                                 \
	X(SUBSCRIBED, 33)                                                                \
	X(UNSUBSCRIBE, 34)                                                               \
	X(UNSUBSCRIBED, 35)                                                              \
	X(EVENT, 36)                                                                     \
	X(CALL, 48)                                                                      \
	X(CANCEL, 49)                                                                    \
	X(RESULT, 50)                                                                    \
	X(REGISTER, 64)                                                                  \
	X(REGISTERED, 65)                                                                \
	X(UNREGISTER, 66)                                                                \
	X(UNREGISTERED, 67)                                                              \
	X(INVOCATION, 68)                                                                \
	X(INTERRUPT, 69)                                                                 \
	X(YIELD, 70)

enum wamp_type {
#define X(name, code) WAMP_##name = (code),
	WAMP_TYPES(X)
#undef X
};

/* The roles of a client. They index wamp_features.of. */
enum wamp_role {
	WAMP_ROLE_PUBLISHER = 0,
	WAMP_ROLE_SUBSCRIBER = 1,
	WAMP_ROLE_CALLER = 2,
	WAMP_ROLE_CALLEE = 3,
	WAMP_ROLE_COUNT = 4,
};

/* The features of clients that this router acts on, as bits. */
enum wamp_feature {
	WAMP_FEATURE_CALL_CANCELING = 1 << 0,
	WAMP_FEATURE_CALL_REROUTE = 1 << 1,
	WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE = 1 << 2,
	/* Autobahn's own passthru, with the options enc_algo, enc_key, enc_serializer */
	WAMP_FEATURE_PAYLOAD_TRANSPARENCY = 1 << 3,
	WAMP_FEATURE_PROGRESSIVE_CALL_INVOCATIONS = 1 << 4,
	WAMP_FEATURE_REGISTRATION_REVOCATION = 1 << 5,
	WAMP_FEATURE_SUBSCRIPTION_REVOCATION = 1 << 6,
};

/* How a call is canceled (specification: "Call Canceling"). */
enum wamp_cancel_mode {
	WAMP_MODE_KILLNOWAIT = 0, /* the default */
	WAMP_MODE_SKIP = 1,
	WAMP_MODE_KILL = 2,
};

/* Which callee of a shared registration gets a call. */
enum wamp_invoke {
	WAMP_INVOKE_SINGLE = 0, /* the default: the registration is not shared */
	WAMP_INVOKE_ROUNDROBIN = 1,
	WAMP_INVOKE_RANDOM = 2,
	WAMP_INVOKE_FIRST = 3,
	WAMP_INVOKE_LAST = 4,
	WAMP_INVOKE_COUNT = 5,
};

/* What a client announces in its HELLO: bits of enum wamp_feature for each role. */
struct wamp_features {
	uint8_t of[WAMP_ROLE_COUNT];
};

enum {
	WAMP_MAX_DEPTH = 64, /* nesting of arrays and maps in a message */
	WAMP_MAX_URI = 1024, /* bytes; our own limit, the specification has none */
	/* Login methods that are read from a HELLO. Further ones are ignored. */
	WAMP_MAX_AUTHMETHODS = 16,
};

/* Ids are integers from 1 to 2^53 (section "Identifiers"). */
#define WAMP_MAX_ID (UINT64_C(1) << 53)

/* The encodings of a message. Also used as an array index. */
enum serializer {
	SERIALIZER_JSON = 0,
	SERIALIZER_MSGPACK = 1,
	SERIALIZER_CBOR = 2,
	SERIALIZER_UBJSON = 3,
	SERIALIZER_COUNT = 4,
};

#define WAMP_CLOSE_GOODBYE_AND_OUT "wamp.close.goodbye_and_out"
#define WAMP_CLOSE_NORMAL          "wamp.close.normal"
#define WAMP_CLOSE_KILLED          "wamp.close.killed"

#define WAMP_ERROR_INVALID_URI              "wamp.error.invalid_uri"
#define WAMP_ERROR_NO_SUCH_PROCEDURE        "wamp.error.no_such_procedure"
#define WAMP_ERROR_PROCEDURE_ALREADY_EXISTS "wamp.error.procedure_already_exists"
#define WAMP_ERROR_NO_SUCH_REGISTRATION     "wamp.error.no_such_registration"
#define WAMP_ERROR_NO_SUCH_SESSION          "wamp.error.no_such_session"
#define WAMP_ERROR_NO_SUCH_SUBSCRIPTION     "wamp.error.no_such_subscription"
#define WAMP_ERROR_INVALID_ARGUMENT         "wamp.error.invalid_argument"
#define WAMP_ERROR_NO_AVAILABLE_CALLEE      "wamp.error.no_available_callee"
#define WAMP_ERROR_CANCELED                 "wamp.error.canceled"
#define WAMP_ERROR_PAYLOAD_SIZE_EXCEEDED    "wamp.error.payload_size_exceeded"
#define WAMP_ERROR_PROTOCOL_VIOLATION       "wamp.error.protocol_violation"
#define WAMP_ERROR_NOT_AUTHORIZED           "wamp.error.not_authorized"
#define WAMP_ERROR_AUTHORIZATION_FAILED     "wamp.error.authorization_failed"
#define WAMP_ERROR_NO_SUCH_REALM            "wamp.error.no_such_realm"
#define WAMP_ERROR_NO_SUCH_ROLE             "wamp.error.no_such_role"
#define WAMP_ERROR_NO_SUCH_PRINCIPAL        "wamp.error.no_such_principal"
#define WAMP_ERROR_NO_MATCHING_AUTH_METHOD  "wamp.error.no_matching_auth_method"
#define WAMP_ERROR_AUTHENTICATION_DENIED    "wamp.error.authentication_denied"
#define WAMP_ERROR_AUTHENTICATION_FAILED    "wamp.error.authentication_failed"
#define WAMP_ERROR_OPTION_NOT_ALLOWED       "wamp.error.option_not_allowed"
#define WAMP_ERROR_DISCLOSE_ME              "wamp.error.option_disallowed.disclose_me"
#define WAMP_ERROR_TIMEOUT                  "wamp.error.timeout"
#define WAMP_ERROR_FEATURE_NOT_SUPPORTED    "wamp.error.feature_not_supported"
#define WAMP_ERROR_UNREGISTERED             "wamp.error.unregistered"
#define WAMP_ERROR_UNSUBSCRIBED             "wamp.error.unsubscribed"
#define WAMP_ERROR_HISTORY_UNAVAILABLE      "wamp.error.history_unavailable"
#define WAMP_ERROR_UNAVAILABLE              "wamp.error.unavailable"

#endif
