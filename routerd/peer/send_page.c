/* SPDX-License-Identifier: Apache-2.0 */
/* Checks, encodes and sends pages of events; see send_page.h. The worker's thread. */
#include "routerd/peer/send_page.h"

#include "common/err.h"
#include "common/timestamp.h"
#include "proto/msg.h"
#include "proto/rawsocket.h"
#include "proto/token.h"
#include "routerd/peer/peer.h"
#include "routerd/post/event_page.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	EVENT_MAX = 80 << 20, /* bytes of an event; its payload has at most 64 MiB */
	END_MAX = 100,        /* bytes behind the events */
};

/* --- may the client have the page? --- */

static NOINLINE void deny_page(struct peer *p, const struct post *post, bool authorizer)
{
	struct slice uri = post->page->uri;
	char text[WAMP_MAX_URI + 128];

	peers_count(p->peers, PEER_NOT_AUTHORIZED);
	peer_log(p, LOG_LEVEL_INFO,
		 "not authorized type=CALL uri=wamp.subscription.get_events topic=%s "
		 "realm=%s authid=%s authrole=%s session=%" PRIu64 " suppressed=%u",
		 log_quote(uri).text, log_quote(p->identity->realm_name).text,
		 log_quote(p->identity->authid).text,
		 log_quote(p->identity->authrole).text, p->identity->session);
	snprintf(text, sizeof(text),
		 authorizer
			 ? "this session's role has an authorizer: subscribe before you "
			   "read the events of <%.*s>"
			 : "this session's role may not subscribe to <%.*s>",
		 (int)uri.len, (const char *)uri.p);
	peer_error(p, WAMP_CALL, post->request, WAMP_ERROR_NOT_AUTHORIZED,
		   slice_str(text));
}

/* Refuses a page that the session may not have, or a query of an unknown publication. */
static bool page_refused(struct peer *p, const struct post *post)
{
	const struct event_page *page = post->page;
	enum match how = (enum match)page->match;
	bool authorizer = rights_authorizer(p->rights) != NULL;
	char text[128];

	if (!page->member) {
		const struct rule *rule =
			rights_judge(p->rights, ACTION_SUBSCRIBE, how, page->uri);
		if (authorizer || !rule_allows(rule, ACTION_SUBSCRIBE)) {
			deny_page(p, post, authorizer);
			return true;
		}
	}
	if (page->unknown == EVENT_BOUND_COUNT)
		return false;
	snprintf(text, sizeof(text), "%s: the history does not contain this publication",
		 event_bound_names[page->unknown]);
	peer_error(p, WAMP_CALL, post->request, WAMP_ERROR_INVALID_ARGUMENT,
		   slice_str(text));
	return true;
}

/* --- encoding --- */

/* A page that is being encoded. */
struct page_writer {
	struct peer *peer;
	const struct event_page *page;
	struct token_writer result;
	struct buf event;   /* the current event, encoded */
	struct buf scratch; /* its payload in the client's encoding */
	size_t body;        /* where the message begins in the output */
	size_t max;         /* bytes of the message, at most */
	/* A page with more bytes ends, so that it does not fill the client's queue. */
	size_t enough;
	unsigned n;       /* events in the result */
	unsigned skipped; /* events that cannot be sent to this client */
	bool more;        /* further events match */
	uint64_t last;    /* the publication up to which the result has come */
};

/* Has the client announced what it needs to understand the event? As in a fan-out. */
static bool is_understood(const struct peer *p, const struct page_event *e)
{
	uint8_t features = p->identity->features.of[WAMP_ROLE_SUBSCRIBER];

	return e->options == NULL ||
	       options_understood(e->options,
				  features | WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE);
}

/* Writes the dict of an event to w->event. Returns the errors of payload_items_into. */
MUSTCHECK
static int encode_event(struct page_writer *w, const struct page_event *e)
{
	enum serializer s = (enum serializer)w->peer->serializer;
	struct post event = {
		.options = e->options,
		.disclosed = e->disclosed,
		.trust = e->trust,
		.match = w->page->match,
		.payload = e->payload,
	};
	struct msg_details details;
	struct msg_payload items;
	struct token_writer dict;
	struct token_reader r;
	struct slice item;
	int err = payload_items_into(e->payload, s, &w->scratch, &items);

	if (err != 0)
		return err;
	buf_clear(&w->event);
	token_writer_init(&dict, s, &w->event);
	token_put_map(&dict, 4 + items.items);
	token_put_text(&dict, "timestamp");
	token_put_text(&dict, timestamp_text(e->published_ms).text);
	token_put_text(&dict, "subscription");
	token_put_uint(&dict, w->page->subscription);
	token_put_text(&dict, "publication");
	token_put_uint(&dict, e->publication);
	token_put_text(&dict, "details");
	msg_put_details(&dict, WAMP_EVENT, peer_details(&event, &details));
	token_reader_init(&r, s, items.bytes);
	for (unsigned i = 0; i < items.items && err == 0; i++) {
		err = token_skip(&r, &item);
		token_put_text(&dict, i == 0 ? "args" : "kwargs");
		token_put_raw(&dict, item, 1);
	}
	token_put_end(&dict);
	return err != 0 ? err : w->event.err;
}

/* Adds the event that was encoded. False if the page ends before it. */
static bool add_event(struct page_writer *w)
{
	const struct buf *out = w->result.out;
	size_t len = out->len - w->body + w->event.len + END_MAX;

	/* not even alone in a page */
	if (w->n == 0 && len > w->max) {
		w->skipped++;
		return true;
	}
	if (w->n > 0 && (len > w->enough || conn_half_full(w->peer->conn, len)))
		return false;
	token_put_raw(&w->result, buf_slice(&w->event), 1);
	w->n++;
	return true;
}

/* Writes the list of the events. E_NOMEM. */
MUSTCHECK
static int put_events(struct page_writer *w)
{
	token_put_array(&w->result, TOKEN_COUNT_UNKNOWN);
	for (size_t i = 0; i < w->page->n && !w->more; i++) {
		const struct page_event *e = &w->page->events[i];
		int err = is_understood(w->peer, e) ? encode_event(w, e) : E_UNSUPPORTED;
		if (err == E_NOMEM)
			return err;
		if (err != 0)
			w->skipped++;
		else if (!add_event(w))
			w->more = true;
		if (!w->more)
			w->last = e->publication;
	}
	if (!w->more) {
		w->more = w->page->more;
		w->last = w->page->last;
	}
	token_put_end(&w->result);
	return 0;
}

static void put_keywords(struct page_writer *w)
{
	token_put_map(&w->result, 1 + (w->skipped > 0) + w->more);
	token_put_text(&w->result, "is_limit_reached");
	token_put_bool(&w->result, w->more);
	if (w->skipped > 0) {
		token_put_text(&w->result, "x_skipped");
		token_put_uint(&w->result, w->skipped);
	}
	if (w->more) {
		token_put_text(&w->result, "x_last_publication");
		token_put_uint(&w->result, w->last);
	}
	token_put_end(&w->result);
}

/* Writes the RESULT. E_NOMEM. */
MUSTCHECK
static int put_result(struct page_writer *w, uint64_t request)
{
	bool bare = w->page->bare;
	int err;

	token_writer_init(&w->result, (enum serializer)w->peer->serializer,
			  peer_begin(w->peer));
	w->body = w->result.out->len;
	token_put_array(&w->result, bare ? 4 : 5);
	token_put_uint(&w->result, WAMP_RESULT);
	token_put_uint(&w->result, request);
	token_put_map(&w->result, 0);
	token_put_end(&w->result);
	if (bare)
		token_put_array(&w->result, 1);
	err = put_events(w);
	if (bare)
		token_put_end(&w->result);
	else
		put_keywords(w);
	token_put_end(&w->result);
	return err;
}

void send_page(struct peer *p, const struct post *post)
{
	size_t max = min_size(conn_send_max(p->conn), RAWSOCKET_MAX_LEN);
	struct page_writer w = {
		.peer = p,
		.page = post->page,
		.max = max,
		.enough = min_size(max, p->peers->config->limits.queue_size / 2),
	};

	if (page_refused(p, post))
		return;
	buf_init(&w.event, EVENT_MAX);
	buf_init(&w.scratch, EVENT_MAX);
	int err = put_result(&w, post->request);
	buf_fini(&w.event);
	buf_fini(&w.scratch);
	if (err == 0)
		err = peer_send(p);
	if (err == 0)
		return;
	peers_count(p->peers, PEER_UNDELIVERABLE);
	struct undeliverable why;
	peer_log_undeliverable(p, WAMP_RESULT, NULL, err, &why);
	peer_error(p, WAMP_CALL, post->request,
		   err == E_LIMIT ? WAMP_ERROR_PAYLOAD_SIZE_EXCEEDED
				  : WAMP_ERROR_UNAVAILABLE,
		   slice_str(why.text));
}
