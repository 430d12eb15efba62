/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the messages that the router sends; see msg.h. No state; any thread. */
#include "proto/msg.h"

#include "common/err.h"
#include "proto/date.h"
#include "proto/transcode.h"

const char *wamp_type_name(enum wamp_type type)
{
	static const char *const names[] = {
#define X(name, code) [code] = #name,
		WAMP_TYPES(X)
#undef X
	};

	if ((size_t)type >= ARRAY_LEN(names) || names[type] == NULL)
		return "?";
	return names[type];
}

const char *const wamp_invoke_names[WAMP_INVOKE_COUNT] = {
	[WAMP_INVOKE_SINGLE] = "single", [WAMP_INVOKE_ROUNDROBIN] = "roundrobin",
	[WAMP_INVOKE_RANDOM] = "random", [WAMP_INVOKE_FIRST] = "first",
	[WAMP_INVOKE_LAST] = "last",
};

const char *const msg_passthru_names[MSG_PASSTHRU_COUNT] = {
#define X(id, name) [MSG_##id] = name,
	MSG_PASSTHRU(X)
#undef X
};

/* The features that WELCOME announces: exactly those that this version implements. */
static const char *const broker_features[] = {
	"event_history",
	"event_retention",
	"pattern_based_subscription",
	"payload_passthru_mode",
	"payload_transparency",
	"publication_trustlevels",
	"publisher_exclusion",
	"publisher_identification",
	"session_meta_api",
	"subscriber_blackwhite_listing",
	"subscription_meta_api",
	"subscription_revocation",
	NULL,
};
static const char *const dealer_features[] = {
	"call_canceling",
	"call_reroute",
	"call_timeout",
	"call_trustlevels",
	"caller_identification",
	"pattern_based_registration",
	"payload_passthru_mode",
	"payload_transparency",
	"progressive_call_invocations",
	"progressive_call_results",
	"registration_meta_api",
	"registration_revocation",
	"session_meta_api",
	"shared_registration",
	"testament_meta_api",
	NULL,
};

/* Begins a message of count elements and writes its type. */
static void begin_msg(struct token_writer *w, struct buf *out, enum serializer s,
		      enum wamp_type type, uint64_t count)
{
	token_writer_init(w, s, out);
	token_put_array(w, count);
	token_put_uint(w, type);
}

static void put_empty_dict(struct token_writer *w)
{
	token_put_map(w, 0);
	token_put_end(w);
}

static void put_str_pair(struct token_writer *w, const char *key, struct slice value)
{
	token_put_text(w, key);
	token_put_str(w, value);
}

void msg_write_closing(struct buf *out, enum serializer s, enum wamp_type type,
		       const char *uri, struct slice message)
{
	struct token_writer w;

	begin_msg(&w, out, s, type, 3);
	token_put_map(&w, message.len > 0);
	if (message.len > 0)
		put_str_pair(&w, "message", message);
	token_put_end(&w);
	token_put_text(&w, uri);
	token_put_end(&w);
}

/*
 * Begins [type, id, second, ...] with room for `more` elements. Leaves out second if it
 * is 0.
 */
static void begin_ids(struct token_writer *w, struct buf *out, enum serializer s,
		      enum wamp_type type, uint64_t id, uint64_t second, unsigned more)
{
	begin_msg(w, out, s, type, 2 + (second != 0) + more);
	token_put_uint(w, id);
	if (second != 0)
		token_put_uint(w, second);
}

void msg_write_ids(struct buf *out, enum serializer s, enum wamp_type type, uint64_t id,
		   uint64_t second)
{
	struct token_writer w;

	begin_ids(&w, out, s, type, id, second, 0);
	token_put_end(&w);
}

void msg_write_revocation(struct buf *out, enum serializer s, enum wamp_type type,
			  uint64_t id, struct slice reason)
{
	struct token_writer w;

	begin_ids(&w, out, s, type, 0, 0, 1);
	token_put_map(&w, 2);
	token_put_text(&w, type == WAMP_UNSUBSCRIBED ? "subscription" : "registration");
	token_put_uint(&w, id);
	put_str_pair(&w, "reason", reason);
	token_put_end(&w);
	token_put_end(&w);
}

void msg_write_interrupt(struct buf *out, enum serializer s, uint64_t request,
			 enum wamp_cancel_mode mode)
{
	struct token_writer w;

	begin_ids(&w, out, s, WAMP_INTERRUPT, request, 0, 1);
	token_put_map(&w, 1);
	put_str_pair(&w, "mode",
		     slice_str(mode == WAMP_MODE_KILL ? "kill" : "killnowait"));
	token_put_end(&w);
	token_put_end(&w);
}

static unsigned count_passthru(const struct slice *passthru)
{
	unsigned n = 0;

	for (unsigned i = 0; passthru != NULL && i < MSG_PASSTHRU_COUNT; i++)
		n += passthru[i].p != NULL;
	return n;
}

static void put_passthru(struct token_writer *w, const struct slice *passthru)
{
	for (unsigned i = 0; passthru != NULL && i < MSG_PASSTHRU_COUNT; i++)
		if (passthru[i].p != NULL)
			put_str_pair(w, msg_passthru_names[i], passthru[i]);
}

static void put_details(struct token_writer *w, enum wamp_type type,
			const struct msg_details *details)
{
	bool event = type == WAMP_EVENT, disclosed = details->session != 0;

	token_put_map(w, (disclosed ? 3 : 0) + details->progress + details->retained +
				 details->more + (details->trust != 0) +
				 (details->uri.len > 0) +
				 count_passthru(details->passthru));
	if (details->more) {
		token_put_text(w, "progress");
		token_put_bool(w, true);
	}
	if (details->progress) {
		token_put_text(w, type == WAMP_RESULT ? "progress" : "receive_progress");
		token_put_bool(w, true);
	}
	if (details->retained) {
		token_put_text(w, "retained");
		token_put_bool(w, true);
	}
	if (disclosed) {
		token_put_text(w, event ? "publisher" : "caller");
		token_put_uint(w, details->session);
		put_str_pair(w, event ? "publisher_authid" : "caller_authid",
			     details->authid);
		put_str_pair(w, event ? "publisher_authrole" : "caller_authrole",
			     details->authrole);
	}
	if (details->uri.len > 0)
		put_str_pair(w, event ? "topic" : "procedure", details->uri);
	if (details->trust != 0) {
		token_put_text(w, "trustlevel");
		token_put_uint(w, details->trust - 1u);
	}
	put_passthru(w, details->passthru);
	token_put_end(w);
}

void msg_put_details(struct token_writer *w, enum wamp_type type,
		     const struct msg_details *details)
{
	if (details == NULL)
		put_empty_dict(w);
	else
		put_details(w, type, details);
}

void msg_write_payload(struct buf *out, enum serializer s, enum wamp_type type,
		       uint64_t id, uint64_t second, const struct msg_details *details,
		       struct msg_payload payload)
{
	struct token_writer w;

	begin_ids(&w, out, s, type, id, second, 1 + payload.items);
	if (LIKELY(details == NULL))
		put_empty_dict(&w);
	else
		put_details(&w, type, details);
	token_put_raw(&w, payload.bytes, payload.items);
	token_put_end(&w);
}

/*
 * Begins [ERROR, request_type, request, Details, ...] with room for the URI and `items`
 * elements.
 */
static void begin_error(struct token_writer *w, struct buf *out, enum serializer s,
			enum wamp_type request_type, uint64_t request,
			const struct slice *passthru, uint64_t items)
{
	begin_msg(w, out, s, WAMP_ERROR, 5 + items);
	token_put_uint(w, request_type);
	token_put_uint(w, request);
	token_put_map(w, count_passthru(passthru));
	put_passthru(w, passthru);
	token_put_end(w);
}

void msg_write_error_passthru(struct buf *out, enum serializer s,
			      enum wamp_type request_type, uint64_t request,
			      const struct slice *passthru, struct slice uri,
			      struct msg_payload payload)
{
	struct token_writer w;

	begin_error(&w, out, s, request_type, request, passthru, payload.items);
	token_put_str(&w, uri);
	token_put_raw(&w, payload.bytes, payload.items);
	token_put_end(&w);
}

void msg_write_error(struct buf *out, enum serializer s, enum wamp_type request_type,
		     uint64_t request, struct slice uri, struct msg_payload payload)
{
	msg_write_error_passthru(out, s, request_type, request, NULL, uri, payload);
}

void msg_write_error_text(struct buf *out, enum serializer s, enum wamp_type request_type,
			  uint64_t request, const char *uri, struct slice text)
{
	struct token_writer w;

	begin_error(&w, out, s, request_type, request, NULL, 1);
	token_put_text(&w, uri);
	token_put_array(&w, 1);
	token_put_str(&w, text);
	token_put_end(&w);
	token_put_end(&w);
}

/*
 * Writes role: {features: {...}}. Both dicts are written even if empty, since wampy.js
 * reads them.
 */
static void put_role(struct token_writer *w, const char *role,
		     const char *const *features)
{
	token_put_text(w, role);
	token_put_map(w, 1);
	token_put_text(w, "features");
	token_put_map(w, TOKEN_COUNT_UNKNOWN);
	for (; *features != NULL; features++) {
		token_put_text(w, *features);
		token_put_bool(w, true);
	}
	token_put_end(w);
	token_put_end(w);
}

static const char key_node[] = "x_cb_node", key_worker[] = "x_cb_worker",
		  key_peer[] = "x_cb_peer", key_pid[] = "x_cb_pid";
enum { CB_PAIRS = 4 };

static void put_cb_pairs(struct token_writer *w, const struct msg_welcome *welcome)
{
	put_str_pair(w, key_node, slice_str(welcome->node));
	put_str_pair(w, key_worker, slice_str(welcome->worker));
	put_str_pair(w, key_peer, slice_str(welcome->peer));
	token_put_text(w, key_pid);
	token_put_uint(w, welcome->pid);
}

static bool is_cb_key(struct slice key)
{
	return slice_eq_str(key, key_node) || slice_eq_str(key, key_worker) ||
	       slice_eq_str(key, key_peer) || slice_eq_str(key, key_pid);
}

/* Writes the authenticator's pairs, except those whose keys the router writes itself. */
static int put_authenticators(struct token_writer *w, struct slice authextra,
			      struct buf *scratch)
{
	struct token_reader r;
	struct token t;

	token_reader_init(&r, SERIALIZER_MSGPACK, authextra);
	int err = token_expect(&r, TOKEN_MAP, &t);
	while (err == 0) {
		err = token_next(&r, &t);
		if (err != 0 || t.type == TOKEN_END)
			break;
		if (t.type != TOKEN_STR)
			/* A WAMP dict has only string keys. */
			return E_UNSUPPORTED;
		if (is_cb_key(t.text)) {
			err = token_skip(&r, NULL);
			continue;
		}
		token_put_str(w, t.text);
		err = transcode_item(&r, w, scratch);
	}
	return err;
}

static void put_authextra(struct token_writer *w, const struct msg_welcome *welcome)
{
	struct buf scratch; /* for dates; strings in MessagePack need no decoding */
	int err = 0;

	buf_init(&scratch, DATE_BYTES);
	token_put_text(w, "authextra");
	token_put_map(w, TOKEN_COUNT_UNKNOWN);
	if (welcome->authextra.len > 0)
		err = put_authenticators(w, welcome->authextra, &scratch);
	if (err != 0)
		buf_fail(w->out, err);
	buf_fini(&scratch);
	put_cb_pairs(w, welcome);
	token_put_end(w);
}

void msg_write_welcome(struct buf *out, enum serializer s, const struct msg_welcome *w)
{
	static const char *const none = NULL;
	struct token_writer writer;

	begin_msg(&writer, out, s, WAMP_WELCOME, 3);
	token_put_uint(&writer, w->session);
	token_put_map(&writer, 7 + CB_PAIRS);
	token_put_text(&writer, "roles");
	token_put_map(&writer, 2);
	put_role(&writer, "broker", w->no_features ? &none : broker_features);
	put_role(&writer, "dealer", w->no_features ? &none : dealer_features);
	token_put_end(&writer);
	put_str_pair(&writer, "realm", w->realm);
	put_str_pair(&writer, "authid", w->authid);
	put_str_pair(&writer, "authrole", w->authrole);
	put_str_pair(&writer, "authmethod", slice_str(w->authmethod));
	put_str_pair(&writer, "authprovider", w->authprovider);
	put_authextra(&writer, w);
	put_cb_pairs(&writer, w);
	token_put_end(&writer);
	token_put_end(&writer);
}
