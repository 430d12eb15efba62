/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WAMP messages: a decoded envelope and a payload that stays as it was received
 * (specification: "Messages"). Written once, over tokens, for all encodings. Pure code;
 * any thread.
 *
 * Reading checks the whole message (see token.h), so that a payload can be passed on
 * blindly. A wrong value costs its request, a broken message the session:
 *
 *   in Arguments, ArgumentsKw, the URI or Options        JSON    MessagePack  CBOR
 *   text that is not UTF-8                               value*  value        value
 *   an unpaired surrogate, "\ud83d" (key or value)       value   not UTF-8    not UTF-8
 *   text after U+0000 that is not base64 (not in keys)   value   passes       passes
 *   NaN, Infinity, -Infinity                             value   passes       passes
 *   nested deeper than WAMP_MAX_DEPTH                    value   value        value
 *   nested more than 1,000 levels deep                   broken  broken       broken
 *   no well-formed encoding (01, 'x', 0xc1, f8 10)       broken  broken       broken
 *   Arguments is no list, or ArgumentsKw no dict         broken  broken       broken
 *   a key of Options that is not a string                broken  broken       broken
 *   an option that is used here: of another type, twice  broken  broken       broken
 *   a key in the payload that is not a string            broken  passes       passes
 *   a key in the payload twice                           passes  passes       passes
 *   a number over 64 bits, 1e400, a bignum, an ext type  passes  passes       passes
 *
 * The types of PUBLISH's eligible... and exclude... lists are not checked here: a wrong
 * one costs its request.
 *
 * value: E_VALUE. It costs the session where there is no request id: HELLO, AUTHENTICATE,
 * ABORT, GOODBYE. broken: any other error. passes: to each receiver whose encoding can
 * say it. (*) On a WebSocket the text frame itself is wrong, and the connection ends with
 * code 1007 (RFC 6455, section 8.1).
 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include "common/buf.h"
#include "proto/token.h"
#include "proto/wamp.h"

/*
 * The optional Arguments|list and ArgumentsKw|dict that end many messages, as encoded:
 * items 0 (nothing), 1 (Arguments) or 2 (both), consecutive, in JSON with the comma
 * between them. Of one that was read null counts as nothing.
 */
struct msg_payload {
	struct slice bytes;
	unsigned items;
};

/* What a HELLO says. Absent, null, undefined and empty are the same: len 0. */
struct msg_hello {
	struct slice realm;
	struct slice authid;
	struct slice authrole;
	struct slice agent;
	struct slice authmethods[WAMP_MAX_AUTHMETHODS];
	unsigned n_authmethods;       /* 0: absent or empty, which means anonymous */
	struct slice authextra;       /* the dict as encoded; len 0 if absent */
	struct slice pubkey;          /* authextra.pubkey, if a string */
	struct slice channel_binding; /* authextra.channel_binding, if a string */
};

/* What was wrong where, as msg_fault_text says it. The texts are constants, or NULL. */
struct msg_fault {
	int err;             /* of E_VALUE: the error of the value */
	const char *element; /* "Options"; NULL: none in particular */
	const char *option;  /* in the element: "roles" */
	const char *sub;     /* in the option: "caller" */
	const char *expected;
};

/*
 * The lists in PUBLISH.Options that say who may get the event. The eligible... come
 * before the exclude....
 */
#define MSG_FILTERS(X)                                                                   \
	X(ELIGIBLE, "eligible")                                                          \
	X(ELIGIBLE_AUTHID, "eligible_authid")                                            \
	X(ELIGIBLE_AUTHROLE, "eligible_authrole")                                        \
	X(EXCLUDE, "exclude")                                                            \
	X(EXCLUDE_AUTHID, "exclude_authid")                                              \
	X(EXCLUDE_AUTHROLE, "exclude_authrole")

enum msg_filter {
#define X(id, name) MSG_##id,
	MSG_FILTERS(X)
#undef X
		MSG_FILTER_COUNT,
};

struct msg {
	enum wamp_type type;
	uint64_t request; /* of requests, replies and ERROR (0: not in this type) */
	uint64_t id;      /* UNSUBSCRIBE: subscription; UNREGISTER: registration */
	enum wamp_type error_type; /* ERROR: REQUEST.Type */
	struct slice uri; /* topic, procedure, ERROR's and GOODBYE's and ABORT's URI */
	struct slice
		text; /* Details.message of ABORT and GOODBYE; AUTHENTICATE's signature */
	struct slice match;  /* SUBSCRIBE, REGISTER: Options.match; len 0 if absent */
	struct slice invoke; /* REGISTER: Options.invoke; len 0 if absent */
	bool acknowledge;    /* PUBLISH */
	bool exclude_me;     /* PUBLISH; true unless it says false */
	bool progress;       /* CALL, YIELD */
	bool passthru;       /* CALL, PUBLISH, YIELD: ppt_scheme is given */
	bool disclose_me;    /* PUBLISH */
	uint8_t filters;     /* PUBLISH: bit i: list i of enum msg_filter is given */
	struct msg_payload payload; /* PUBLISH, CALL, YIELD, ERROR, ABORT */
	/* PUBLISH: the lists that are given, as encoded; their types are not checked */
	struct slice filter[MSG_FILTER_COUNT];
	struct msg_hello *hello; /* where msg_read puts a HELLO; set by the caller */
	struct msg_fault fault;  /* only if msg_read fails */
};

/*
 * Decodes one message that a client may send. Slices are lent by in, or by scratch where
 * the encoding needed undoing (cleared first; never larger than in, so its maximum should
 * not be less than that of messages). out->hello must point to a struct, which a HELLO
 * fills; it names at least one of the four roles of clients. Keys of Options and Details
 * that this router does not use are passed over, null and undefined are as if absent,
 * those that it uses may be there once; the message's URIs are text, but not checked
 * further.
 *
 * E_VALUE: nothing is wrong but a value. What is neither text nor payload is then set.
 *
 * Other errors: those of the reader and of scratch; E_TYPE for an element or option of
 * another type than expected, or an element too many; E_NOTFOUND for one that is missing;
 * E_EXISTS for an option that is there twice; E_UNKNOWN for a message type that no client
 * sends. out->type is then set if it was read, otherwise 0, and out->request likewise.
 */
int msg_read(enum serializer s, struct slice in, struct buf *scratch,
	     struct msg *out) MUSTCHECK;

enum { MSG_FAULT_TEXT_MAX = 160 };
/*
 * For the sender of a message for which msg_read gave err: one line of ASCII, such as
 * "PUBLISH.Options.acknowledge: expected a boolean".
 */
void msg_fault_text(const struct msg *m, int err, char to[MSG_FAULT_TEXT_MAX]);

/* The standard name of a message type, "CALL"; "?" for none. */
const char *wamp_type_name(enum wamp_type type);

/*
 * Writers: append one message to out; errors stick there. Payload bytes must be in the
 * encoding s, other texts valid UTF-8.
 */
/* ABORT and GOODBYE; message may be empty. */
void msg_write_closing(struct buf *out, enum serializer s, enum wamp_type type,
		       const char *uri, struct slice message);
void msg_write_challenge_cryptosign(struct buf *out, enum serializer s,
				    const char *challenge_hex);
/*
 * SUBSCRIBED, REGISTERED, PUBLISHED: [type, request, id]. UNSUBSCRIBED, UNREGISTERED:
 * second is 0, which leaves it out.
 */
void msg_write_ids(struct buf *out, enum serializer s, enum wamp_type type, uint64_t id,
		   uint64_t second);
/* What the Details of an EVENT say: who has published it. */
struct msg_details {
	uint64_t publisher; /* its session */
	struct slice publisher_authid, publisher_authrole;
};
/*
 * EVENT: subscription and publication. INVOCATION: request and registration. RESULT:
 * request and 0. Without details (NULL) Details is an empty dict.
 */
void msg_write_payload(struct buf *out, enum serializer s, enum wamp_type type,
		       uint64_t id, uint64_t second, const struct msg_details *details,
		       struct msg_payload payload);
void msg_write_error(struct buf *out, enum serializer s, enum wamp_type request_type,
		     uint64_t request, struct slice uri, struct msg_payload payload);
/* An ERROR of the router's own: Arguments is [text]. */
void msg_write_error_text(struct buf *out, enum serializer s, enum wamp_type request_type,
			  uint64_t request, const char *uri, struct slice text);

/* What WELCOME says. */
struct msg_welcome {
	uint64_t session;
	struct slice realm, authid, authrole;
	const char *authmethod;
	struct slice authprovider;
	struct slice authextra; /* from the authenticator: a MessagePack map, checked; len
				   0: none */
	const char *node, *worker, *peer; /* x_cb_node, x_cb_worker, x_cb_peer */
	uint64_t pid;                     /* x_cb_pid */
};
/*
 * E_UNSUPPORTED (sticks) if authextra cannot be said in this encoding. authextra and the
 * four x_cb_* go into WELCOME's authextra together, and the latter on the top level too,
 * both as Crossbar does.
 */
void msg_write_welcome(struct buf *out, enum serializer s, const struct msg_welcome *w);

/*
 * Batched transports: several messages in one WebSocket message. Takes the first off
 * *rest. JSON: each ends with 0x1e (specification) or 0x18 (Autobahn), which the last may
 * lack; *separator is the one seen, otherwise unchanged. Others: a 32-bit big-endian
 * length before each. E_TRUNCATED, also if *rest is empty: a batch has a message.
 */
int batch_next(enum serializer s, struct slice *rest, struct slice *msg_out,
	       uint8_t *separator) MUSTCHECK;

/*
 * Brackets a message for a batched transport: begin returns a position for end.
 */
size_t batch_begin(struct buf *out, enum serializer s);
void batch_end(struct buf *out, enum serializer s, size_t begin, uint8_t separator);

#endif
