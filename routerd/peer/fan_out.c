/* SPDX-License-Identifier: Apache-2.0 */
/* Delivers EVENTs to this worker's members; see fan_out.h. The worker's thread. */
#include "routerd/peer/fan_out.h"

#include "common/err.h"
#include "proto/msg.h"
#include "proto/ws_frame.h"
#include "routerd/peer/peer.h"

enum {
	DELIVERIES_PER_CHECK = 16, /* members between two checks of the clock */
	ENVELOPE_MAX = 64,         /* bytes of an EVENT without its payload, at most */
	PASSTHRU_ABOUT = 256,      /* bytes for the ppt_ or enc_ options */
	DETAILS_ABOUT = 64, /* bytes for a disclosed publisher, besides its texts */
	/* Room for the largest transcoded payload and its envelope. */
	FRAMED_MAX = 80 << 20,
};

/* Estimates the bytes of an EVENT without its payload. */
static size_t envelope_size(const struct post *event)
{
	const struct identity *publisher = event->disclosed;
	size_t size = ENVELOPE_MAX;

	if (publisher != NULL)
		size += DETAILS_ABOUT + publisher->authid.len + publisher->authrole.len;
	if (event->match != MATCH_EXACT)
		size += payload_uri(event->payload).len;
	if (UNLIKELY(event->options != NULL) && options_passthru(event->options) != NULL)
		size += PASSTHRU_ABOUT;
	return size;
}

/* Appends an EVENT to out. */
static void write_event(const struct post *event, enum serializer s,
			struct msg_payload items, struct buf *out)
{
	struct msg_details details;

	msg_write_payload(out, s, WAMP_EVENT, event->id, event->publication,
			  peer_details(event, &details), items);
}

/*
 * Appends an EVENT, framed for p's wire kind, to out. Returns the errors of payload_items
 * and peer_end_frame; after an error, out is unchanged.
 */
MUSTCHECK
static int append_event(const struct peer *p, const struct post *event, struct buf *out,
			size_t *len_out)
{
	size_t start = out->len;
	struct msg_payload items;
	int err = payload_items(event->payload, p->serializer, &items);

	if (err != 0)
		return err;
	size_t room = peer_begin_frame(p, out, items.bytes.len + envelope_size(event));
	write_event(event, p->serializer, items, out);
	err = peer_end_frame(p, out, start, room, len_out);
	if (err != 0) {
		buf_clear(out);
		out->len = start;
	}
	return err;
}

/*
 * Joins the last two frames in out, which begin at `last` and `start`, if both are short.
 */
static bool join_frames(struct buf *out, size_t last, size_t start)
{
	size_t len = ws_frame_join(out->data + last, start - last, out->cap - last,
				   slice_of(out->data + start, out->len - start));

	if (len != 0)
		out->len = last + len;
	return len != 0;
}

/* Estimates the bytes of all EVENTs, so that the buffer seldom grows. */
static size_t expected_size(const struct fan_out *f)
{
	size_t size = 0;

	for (unsigned i = 0; i < f->n_events; i++)
		size += payload_size(f->events[i].payload) + envelope_size(&f->events[i]);
	return size;
}

/* Logs that an EVENT is not sent. */
static void report(struct peer *p, const struct post *event, int err)
{
	struct undeliverable why;

	peer_log_undeliverable(p, WAMP_EVENT, event, err, &why);
}

/* The bytes for p's wire kind. Makes them when the first peer of the kind needs them. */
static const struct fan_out_bytes *bytes_for(struct fan_out *f, struct peer *p)
{
	struct fan_out_bytes *b = &f->bytes[peer_wire_kind(p)];
	size_t last = SHARED_BUF_HEAD, len = 0;
	struct buf out;

	if (b->made)
		return b;
	b->made = true;
	shared_buf_begin(&out, expected_size(f), FRAMED_MAX);
	/* otherwise the error is E_LIMIT: no member of this wire kind can get the
	 * EVENTs */
	b->no_memory = out.err == E_NOMEM;
	if (out.err != 0) {
		report(p, &f->events[0], out.err);
		return b;
	}
	for (unsigned i = 0; i < f->n_events; i++) {
		size_t start = out.len;
		int err = append_event(p, &f->events[i], &out, &len);
		if (err == E_NOMEM) {
			b->no_memory = true;
			break;
		}
		if (err != 0) {
			report(p, &f->events[i], err);
			continue;
		}
		if (len > b->longest)
			b->longest = len;
		/* only a batched subprotocol may have several messages in a frame */
		if (!p->batched || b->n_events == 0 || !join_frames(&out, last, start))
			last = start;
		b->n_events++;
	}
	if (b->n_events == 0)
		buf_fini(&out);
	else
		b->framed = shared_buf_end(&out);
	return b;
}

/*
 * Retained events must not end a connection, even if the client reads slowly. They may
 * fill its queue to a half; the last one may be longer, if it fits.
 */
static NOINLINE bool retained_too_much(const struct peer *p, size_t len)
{
	return conn_half_full(p->conn, len / 2);
}

/* Sends one EVENT. If memory runs out, drops the connection and returns false. */
static bool deliver_one(struct peer *p, const struct post *event)
{
	struct msg_payload items;
	/* the payload of a retained event keeps no other encodings */
	int err = payload_items_into(event->payload, p->serializer, &p->peers->transcoded,
				     &items);

	if (err == 0) {
		struct buf *out = peer_begin(p);
		write_event(event, p->serializer, items, out);
		err = UNLIKELY(event->retain) && retained_too_much(p, out->len)
			      ? E_FULL
			      : peer_send(p);
	}
	if (err == E_NOMEM) {
		peer_drop_no_memory(p, "EVENT");
		return false;
	}
	if (err != 0)
		report(p, event, err);
	peers_count(p->peers, err == 0 ? PEER_EVENTS_DELIVERED : PEER_UNDELIVERABLE);
	return true;
}

/* Sends the EVENTs one by one, except those that are too long for this peer. */
static void deliver_singly(struct fan_out *f, struct peer *p)
{
	for (unsigned i = 0; i < f->n_events; i++)
		if (!deliver_one(p, &f->events[i]))
			return;
}

/*
 * False if p has not announced payload transparency, and the EVENT needs it. Such an
 * EVENT is only counted. (An EVENT in payload passthru mode goes to all: a subscriber
 * must cope with it, says the specification.)
 */
static bool understands(struct peer *p, const struct options *o)
{
	uint8_t features = p->identity->features.of[WAMP_ROLE_SUBSCRIBER];

	if (options_understood(o, features | WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE))
		return true;
	peers_count(p->peers, PEER_EVENTS_NOT_UNDERSTOOD);
	return false;
}

void fan_out_to_one(struct peer *p, const struct post *event)
{
	if (LIKELY(event->options == NULL) || understands(p, event->options))
		(void)deliver_one(p, event);
}

/* True if the options of an EVENT keep p from getting it. */
static NOINLINE bool kept_from(struct peer *p, const struct options *o)
{
	return !options_pass(o, p->identity) || !understands(p, o);
}

static void deliver_to(struct peers *ps, struct fan_out *f, struct peer *p)
{
	const struct post *first = &f->events[0];

	/* compare the slot first: it is cheap, and differs for nearly all members */
	if (p->slot == first->session.slot && first->exclude_me &&
	    session_ref_eq(first->session, peer_ref(p)))
		return;
	if (first->options != NULL && kept_from(p, first->options))
		return;
	const struct fan_out_bytes *b = bytes_for(f, p);
	if (b->no_memory) {
		peer_drop_no_memory(p, "EVENT");
		return;
	}
	/* only RawSocket clients announce a limit */
	if (p->raw && b->longest > conn_send_max(p->conn)) {
		deliver_singly(f, p);
		return;
	}
	ps->counters[PEER_UNDELIVERABLE] += f->n_events - b->n_events;
	ps->counters[PEER_EVENTS_DELIVERED] += b->n_events;
	if (b->framed != NULL)
		conn_send_shared(p->conn, shared_buf_ref(b->framed), b->n_events);
}

/* The peer of a membership. NULL if its session has ended. */
static struct peer *peer_of(const struct peers *ps, const struct member *member)
{
	uintptr_t owner = (uintptr_t)member->node.owner;
	const struct peer_slot *s = &ps->slots[owner >> 32];

	return LIKELY(s->generation == (uint32_t)owner) ? s->peer : NULL;
}

/* Sets the cursor to the first member of the EVENTs' subscription. */
static void begin_subscription(struct peers *ps, struct fan_out *f)
{
	/* NULL if all members have left since the owner sent the EVENTs */
	f->list = members_of(&ps->members, f->events[0].id);
	f->next = f->list == NULL ? NULL : TAILQ_FIRST(&f->list->members);
}

/* Goes to the next subscription of the EVENT. False if there is none. */
static bool next_subscription(struct peers *ps, struct fan_out *f)
{
	struct post *event = &f->events[0];

	if (LIKELY(event->more == NULL || f->n_done == event->more->n))
		return false;
	members_free_bytes(f);
	event->id = event->more->ids[f->n_done++];
	event->match = MATCH_PREFIX; /* or MATCH_WILDCARD, which makes no difference */
	begin_subscription(ps, f);
	return true;
}

bool fan_out_go_on(struct peers *ps)
{
	struct fan_out *f = &ps->members.fan_out;

	if (f->n_events == 0)
		return true;
	for (unsigned n = 1; f->next != NULL || next_subscription(ps, f); n++) {
		struct member *member = f->next;
		if (member != NULL) {
			/* advance first: delivering may end the session, which frees
			 * its member */
			f->next = TAILQ_NEXT(member, in_list);
			struct peer *p = peer_of(ps, member);
			if (p != NULL)
				deliver_to(ps, f, p);
		}
		/* Look at the clock also before the next subscription: to encode its
		 * messages may take long. */
		bool look = f->next == NULL ? f->events[0].more != NULL
					    : n % DELIVERIES_PER_CHECK == 0;
		if (look && budget_posts_spent(&ps->net->budget))
			return false;
	}
	members_fan_out_end(f);
	return true;
}

/*
 * True if both EVENTs go to the same members: they have the same, single subscription and
 * the same options, and both exclude the same publisher, or neither excludes its
 * publisher.
 */
static bool same_way(const struct post *a, const struct post *b)
{
	return b->type == POST_EVENT && a->id == b->id && a->options == b->options &&
	       a->more == NULL && b->more == NULL && a->exclude_me == b->exclude_me &&
	       (!a->exclude_me || session_ref_eq(a->session, b->session));
}

/* Returns how many of the posts to deliver together, at least 1. */
static size_t count_together(const struct post *posts, size_t n)
{
	size_t bytes = payload_size(posts[0].payload);
	size_t i = 1;

	for (; i < n && i < FAN_OUT_MAX && same_way(&posts[0], &posts[i]); i++) {
		bytes += payload_size(posts[i].payload);
		if (bytes > FAN_OUT_MAX_BYTES)
			break;
	}
	return i;
}

bool fan_out_begin(struct peers *ps, struct post *posts, size_t n, size_t *taken_out)
{
	struct fan_out *f = &ps->members.fan_out;
	size_t together = count_together(posts, n);

	ASSERT(f->n_events == 0 && n > 0);
	*taken_out = together;
	memcpy(f->events, posts, together * sizeof(*posts));
	f->n_events = (unsigned)together;
	begin_subscription(ps, f);
	return fan_out_go_on(ps);
}
