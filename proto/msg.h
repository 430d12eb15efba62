/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WAMP messages: a decoded envelope and a payload that stays encoded (specification:
 * "Messages"). One implementation over tokens serves all encodings. No state; any thread.
 *
 * Reading checks the whole message (see token.h), so a payload can be forwarded without
 * another check. The table shows the result for each kind of fault:
 *
 * value: E_VALUE. Only the request fails. If the message has no request id (HELLO,
 *   AUTHENTICATE, ABORT, GOODBYE), the session ends.
 * broken: any other error. The session ends.
 * passes: no error. Each receiver gets the message if its encoding can express it.
 *
 *   in Arguments, ArgumentsKw, the URI or Options        JSON    MessagePack  CBOR
 *   text that is not UTF-8                               value*  value        value
 *   an unpaired surrogate, "\ud83d" (key or value)       value   value**      value**
 *   text after U+0000 that is not base64 (not in keys)   value   passes       passes
 *   NaN, Infinity, -Infinity                             value   passes       passes
 *   nested deeper than WAMP_MAX_DEPTH                    value   value        value
 *   nested more than 1,000 levels deep                   broken  broken       broken
 *   malformed encoding (01, 'x', 0xc1, f8 10)            broken  broken       broken
 *   Arguments is no list, or ArgumentsKw no dict         broken  broken       broken
 *   Arguments is a binary, and Options has enc_algo      passes  passes       passes
 *   a key of Options that is not a string                broken  broken       broken
 *   an option used here: of another type, or twice       broken  broken       broken
 *   a key in the payload that is not a string            broken  passes       passes
 *   a key in the payload twice                           passes  passes       passes
 *   a number over 64 bits, 1e400, a bignum, an ext type  passes  passes       passes
 *
 * (*) On a WebSocket this makes the text frame itself invalid, and the connection ends
 * with code 1007 (RFC 6455, section 8.1).
 * (**) In these encodings it is text that is not UTF-8.
 *
 * The types of PUBLISH's eligible... and exclude... lists and of the options ppt_... and
 * enc_... are not checked here; if one is wrong, only the request fails.
 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include "common/buf.h"
#include "proto/token.h"
#include "proto/wamp.h"

/*
 * The optional Arguments|list and ArgumentsKw|dict at the end of many messages, in
 * encoded form. items is 0 (neither), 1 (Arguments) or 2 (both); they are consecutive, in
 * JSON with a comma between them. In a message that was read, null counts as absent. With
 * the option enc_algo, Arguments may be a binary instead of a list, without ArgumentsKw.
 */
struct msg_payload {
	struct slice bytes;
	unsigned items;
};

/* The content of a HELLO. Absent, null, undefined and empty values all have len 0. */
struct msg_hello {
	struct slice realm;
	struct slice authid;
	struct slice authrole;
	struct slice agent;
	struct wamp_features features; /* features that the client announces with true */
	struct slice authmethods[WAMP_MAX_AUTHMETHODS];
	unsigned n_authmethods;       /* 0: absent or empty, which means anonymous */
	struct slice authextra;       /* the encoded dict; len 0 if absent */
	struct slice pubkey;          /* authextra.pubkey, if it is a string */
	struct slice channel_binding; /* authextra.channel_binding, if it is a string */
	bool asks_binding;            /* it is there, of whatever type; null is not */
	struct slice nonce;           /* authextra.nonce, if it is a string */
	struct slice challenge;       /* authextra.challenge, if it is a string */
};

/*
 * An error and its place in the message, for msg_fault_text. The texts are constants or
 * NULL.
 */
struct msg_fault {
	int err;             /* for E_VALUE: the error of the value */
	const char *element; /* "Options"; NULL: no particular element */
	const char *option;  /* key in the element: "roles" */
	const char *sub;     /* key in the option: "caller" */
	const char *expected;
};

/*
 * The lists in PUBLISH.Options that select the receivers of the event. The eligible lists
 * come before the exclude lists.
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

/*
 * The options that describe a payload which only the endpoints understand: ppt_... is the
 * specification's "Payload Passthru Mode", enc_... is Autobahn's payload transparency.
 */
#define MSG_PASSTHRU(X)                                                                  \
	X(PPT_SCHEME, "ppt_scheme")                                                      \
	X(PPT_SERIALIZER, "ppt_serializer")                                              \
	X(PPT_CIPHER, "ppt_cipher")                                                      \
	X(PPT_KEYID, "ppt_keyid")                                                        \
	X(ENC_ALGO, "enc_algo")                                                          \
	X(ENC_KEY, "enc_key")                                                            \
	X(ENC_SERIALIZER, "enc_serializer")

enum msg_passthru {
#define X(id, name) MSG_##id,
	MSG_PASSTHRU(X)
#undef X
		MSG_PASSTHRU_COUNT,
};
extern const char *const msg_passthru_names[MSG_PASSTHRU_COUNT];

struct msg {
	enum wamp_type type;
	uint64_t request; /* in requests, replies and ERROR; 0 in other types */
	uint64_t id;      /* UNSUBSCRIBE: subscription; UNREGISTER: registration */
	enum wamp_type error_type; /* ERROR: REQUEST.Type */
	struct slice uri; /* topic or procedure; the URI of ERROR, GOODBYE and ABORT */
	/*
	 * Details.message of ABORT and GOODBYE; the signature of AUTHENTICATE;
	 * Options.mode of CANCEL, empty if it is not a string.
	 */
	struct slice text;
	struct slice match;  /* SUBSCRIBE, REGISTER: Options.match; len 0 if absent */
	struct slice invoke; /* REGISTER: Options.invoke; len 0 if absent */
	bool acknowledge;    /* PUBLISH */
	bool exclude_me;     /* PUBLISH; true unless the client sends false */
	bool progress;       /* CALL, YIELD */
	bool disclose;       /* PUBLISH, CALL: disclose_me; REGISTER: disclose_caller */
	bool retain;         /* PUBLISH: retain; SUBSCRIBE: get_retained */
	bool force;          /* REGISTER: force_reregister */
	/* PUBLISH: a testament, made from a CALL. An ERROR must answer the CALL. */
	bool testament;
	double timeout;  /* CALL: as given, 0 if absent, NaN if it is no number */
	uint8_t filters; /* PUBLISH: bit i: list i of enum msg_filter is given */
	/* CALL, PUBLISH, YIELD, ERROR: bit i: option i of enum msg_passthru is given. An
	 * empty ppt_scheme or enc_algo counts as absent. */
	uint8_t passthru;
	/* REGISTER: as given, infinite if absent, NaN if it is no number */
	double concurrency;
	/* CALL: the caller wants progressive results. */
	bool receive_progress;
	struct msg_payload payload; /* PUBLISH, CALL, YIELD, ERROR, ABORT */
	/* PUBLISH: the lists that are given, as encoded; their types are not checked */
	struct slice filter[MSG_FILTER_COUNT];
	/* the values of the options in passthru, likewise */
	struct slice passthru_value[MSG_PASSTHRU_COUNT];
	/* AUTHENTICATE: Extra, a dict as encoded; undefined in other messages */
	struct slice extra;
	struct msg_hello *hello; /* where msg_read stores a HELLO; the caller sets it */
	struct msg_fault fault;  /* valid only if msg_read fails */
};

/*
 * Decodes a message that a client may send. Slices point into `in`, or into scratch if a
 * text had to be decoded. scratch is cleared first and never gets larger than `in`, so
 * its maximum should be the maximum message size. out->hello must point to a struct,
 * which a HELLO fills; a HELLO must name at least one of the four client roles. Keys of
 * Options and Details that this router does not use are skipped. Keys that it uses must
 * not occur twice, and null and undefined count as absent. The URI is valid text; nothing
 * else about it is checked.
 *
 * E_VALUE: the message is valid except for a wrong value. All fields of *out except texts
 * and payload are set.
 *
 * Other errors: those of the reader and of scratch; E_TYPE for an element or option of
 * the wrong type, or an extra element; E_NOTFOUND for a missing one; E_EXISTS for an
 * option that occurs twice; E_UNKNOWN for a message type that clients do not send.
 * out->type and out->request are set if they could be read, else 0.
 */
int msg_read(enum serializer s, struct slice in, struct buf *scratch,
	     struct msg *out) MUSTCHECK;

/*
 * The encoded Options of a message that msg_read has read. They must be its third
 * element.
 */
struct slice msg_options(enum serializer s, struct slice in);

/*
 * Finds the text that a dict has under this key. 0 or E_NOMEM. *out is empty if there is
 * no such key, or if its value is not a string. dict is part of a message that msg_read
 * has read. *out points into it or into scratch, which is cleared first and must allow as
 * many bytes as dict has.
 */
int msg_dict_text(enum serializer s, struct slice dict, const char *key,
		  struct buf *scratch, struct slice *out) MUSTCHECK;

enum { MSG_FAULT_TEXT_MAX = 160 };
/*
 * Describes an error of msg_read to the sender of the message, in one line of ASCII, such
 * as "PUBLISH.Options.acknowledge: expected a boolean".
 */
void msg_fault_text(const struct msg *m, int err, char to[MSG_FAULT_TEXT_MAX]);

/* The name of a message type, "CALL"; "?" if there is none. */
const char *wamp_type_name(enum wamp_type type);

/* The values of REGISTER.Options.invoke. */
extern const char *const wamp_invoke_names[WAMP_INVOKE_COUNT];

/*
 * Writers: each appends one message to out, which keeps the first error. Payload bytes
 * must be in the encoding s, other texts in UTF-8.
 */
/* ABORT or GOODBYE. message may be empty. */
void msg_write_closing(struct buf *out, enum serializer s, enum wamp_type type,
		       const char *uri, struct slice message);
void msg_write_challenge_ticket(struct buf *out, enum serializer s);
struct msg_key_challenge {
	const char *challenge; /* hex */
	/* If the client has sent a challenge: the router's answer, in hex; else NULL. */
	const char *signature, *pubkey;
	const char *channel_binding; /* NULL: none */
};
void msg_write_challenge_cryptosign(struct buf *out, enum serializer s,
				    const struct msg_key_challenge *c);
struct msg_cra_challenge {
	struct slice challenge; /* the text to sign */
	struct slice salt;      /* empty: none, and the next two are left out */
	uint64_t iterations, keylen;
};
void msg_write_challenge_cra(struct buf *out, enum serializer s,
			     const struct msg_cra_challenge *c);
struct msg_scram_challenge {
	const char *method; /* "scram" or "wamp-scram" */
	struct slice nonce, salt, kdf;
	uint64_t iterations;
	uint64_t memory; /* KiB; 0: none */
};
void msg_write_challenge_scram(struct buf *out, enum serializer s,
			       const struct msg_scram_challenge *c);
/*
 * SUBSCRIBED, REGISTERED, PUBLISHED: id is the request, second the new id. UNSUBSCRIBED,
 * UNREGISTERED: id is the request, and second is 0.
 */
void msg_write_ids(struct buf *out, enum serializer s, enum wamp_type type, uint64_t id,
		   uint64_t second);
/*
 * A revocation: UNSUBSCRIBED or UNREGISTERED with the request id 0, which no request of
 * the client has caused. id is the subscription or registration. reason is a URI.
 */
void msg_write_revocation(struct buf *out, enum serializer s, enum wamp_type type,
			  uint64_t id, struct slice reason);
/* The content of Details of an EVENT, INVOCATION, RESULT or ERROR. */
struct msg_details {
	/* The publisher of an EVENT or the caller of an INVOCATION. 0: not disclosed. */
	uint64_t session;
	struct slice authid, authrole;
	/* The topic of an EVENT or the procedure of an INVOCATION. len 0: left out. */
	struct slice uri;
	bool progress; /* INVOCATION: receive_progress; RESULT: progress */
	bool retained; /* EVENT */
	bool more;     /* INVOCATION: progress, since more chunks of the input follow */
	uint8_t trust; /* EVENT, INVOCATION: the trust level plus 1; 0: none */
	/* MSG_PASSTHRU_COUNT texts; p is NULL for those left out. NULL: none at all. */
	const struct slice *passthru;
};

/* Writes the Details of a message of this type. details: NULL if they are empty. */
void msg_put_details(struct token_writer *w, enum wamp_type type,
		     const struct msg_details *details);

/*
 * EVENT: id is the subscription, second the publication. INVOCATION: id is the request,
 * second the registration. RESULT: id is the request, and second is 0. If details is
 * NULL, Details is empty.
 */
void msg_write_payload(struct buf *out, enum serializer s, enum wamp_type type,
		       uint64_t id, uint64_t second, const struct msg_details *details,
		       struct msg_payload payload);
/*
 * INTERRUPT, which tells the callee to stop. mode: WAMP_MODE_KILL if the caller still
 * waits for an answer, else WAMP_MODE_KILLNOWAIT.
 */
void msg_write_interrupt(struct buf *out, enum serializer s, uint64_t request,
			 enum wamp_cancel_mode mode);
void msg_write_error(struct buf *out, enum serializer s, enum wamp_type request_type,
		     uint64_t request, struct slice uri, struct msg_payload payload);
/* The same, with these options in Details, as in struct msg_details. */
void msg_write_error_passthru(struct buf *out, enum serializer s,
			      enum wamp_type request_type, uint64_t request,
			      const struct slice *passthru, struct slice uri,
			      struct msg_payload payload);
/* An ERROR from the router itself, with the Arguments [text]. */
void msg_write_error_text(struct buf *out, enum serializer s, enum wamp_type request_type,
			  uint64_t request, const char *uri, struct slice text);

/* The content of a WELCOME. */
struct msg_welcome {
	uint64_t session;
	struct slice realm, authid, authrole;
	const char *authmethod;
	struct slice authprovider;
	/*
	 * From the authenticator: a MessagePack map that has been checked. len 0: none.
	 */
	struct slice authextra;
	const char *node, *worker, *peer; /* x_cb_node, x_cb_worker, x_cb_peer */
	uint64_t pid;                     /* x_cb_pid */
	bool no_features; /* announce no features, so that the message is shorter */
};
/*
 * Writes authextra and the four x_cb_* fields to Details.authextra, and the four fields
 * also to Details itself, as Crossbar does. out gets E_UNSUPPORTED if this encoding
 * cannot express authextra.
 */
void msg_write_welcome(struct buf *out, enum serializer s, const struct msg_welcome *w);

/*
 * Batched transports: a WebSocket message contains several WAMP messages. Takes the first
 * message from *rest. In JSON each message ends with 0x1e (specification) or 0x18
 * (Autobahn), which the last message may lack; *separator gets the separator that was
 * found, or is unchanged if there was none. In other encodings a 32-bit big-endian length
 * precedes each message. E_TRUNCATED: the message is incomplete, or *rest is empty, since
 * a batch contains at least one message.
 */
int batch_next(enum serializer s, struct slice *rest, struct slice *msg_out,
	       uint8_t *separator) MUSTCHECK;

/*
 * Write a message for a batched transport: call begin, write the message, then call end
 * with the position that begin returned.
 */
size_t batch_begin(struct buf *out, enum serializer s);
void batch_end(struct buf *out, enum serializer s, size_t begin, uint8_t separator);

#endif
