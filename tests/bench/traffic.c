/* SPDX-License-Identifier: Apache-2.0 */
/* rpc and pubsub: senders keep a window of messages in flight, or a rate. Receivers check
 * each message: its payload names the sender and the number (hex sender, hex sequence,
 * filler). A call is in flight until its result, an event until the last subscriber has
 * it. One thread. */
#include "tests/bench/conn.h"
#include "tests/bench/measure.h"
#include "tests/bench/modes.h"
#include "tests/bench/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FILLER_PERIOD = 26,
	CONNECTING_AT_ONCE = 64,  /* a listener's backlog is limited */
	RING_AT_A_RATE = 1 << 16, /* messages of one sender that may be in flight */
	SENDER_DIGITS = 4,
	SEQUENCE_DIGITS = 12,
	TURN_NS = 100 * 1000 * 1000,
};

/* A message in flight. */
struct slot {
	uint64_t sequence; /* 0: none */
	/* ns, when it was sent, or should have been sent at the given rate */
	int64_t due;
	uint64_t publication;
	unsigned missing; /* subscribers that still wait for it */
};

struct sender {
	struct conn conn;
	uint64_t sent; /* the last sequence number, which is also the request id */
	uint64_t done;
	struct slot *ring;
};

struct receiver {
	struct conn conn;
	uint64_t id;    /* of the subscription or registration */
	uint64_t *next; /* the next sequence number of each sender */
};

static bool rpc;
static struct sender *senders;
static struct receiver *receivers;
static unsigned ready;
static uint64_t ring_mask;
static uint64_t delivered, answered;
static uint64_t quota; /* messages of each sender */
static bool sending, measuring, broken;
static int64_t first_due;
static char *payload, *filler;

static bool is_sender(const struct conn *c)
{
	const struct sender *s = c->owner;

	return s >= senders && s < senders + opt.senders;
}

/* --- payloads --- */

static void make_filler(void)
{
	payload = must(malloc(opt.size));
	filler = must(malloc(opt.size + FILLER_PERIOD));
	for (unsigned i = 0; i < opt.size + FILLER_PERIOD; i++)
		filler[i] = (char)('a' + i % FILLER_PERIOD);
}

static void write_hex(char *out, uint64_t n, unsigned digits)
{
	for (; digits > 0; n >>= 4)
		out[--digits] = "0123456789abcdef"[n & 15];
}

static bool read_hex(const uint8_t *text, unsigned digits, uint64_t *out)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < digits; i++) {
		unsigned c = text[i];
		unsigned digit = c >= '0' && c <= '9'   ? c - '0'
				 : c >= 'a' && c <= 'f' ? c - 'a' + 10
							: 16;
		if (digit > 15)
			return false;
		n = n << 4 | digit;
	}
	*out = n;
	return true;
}

static void put_payload(const struct writer *w, unsigned sender, uint64_t sequence)
{
	write_hex(payload, sender, SENDER_DIGITS);
	write_hex(payload + SENDER_DIGITS, sequence, SEQUENCE_DIGITS);
	memcpy(payload + MIN_PAYLOAD, filler + sequence % FILLER_PERIOD,
	       opt.size - MIN_PAYLOAD);
	put_list(w, 1);
	put_text(w, payload, opt.size);
	put_end(w, ']');
}

struct content {
	struct item text;
	uint64_t sender;
	uint64_t sequence;
};

/* Reads the arguments of a message: one text, every byte of which is checked. */
static bool read_payload(const struct conn *c, const struct message *m, unsigned at,
			 struct content *out)
{
	struct reader r;
	struct item more;

	if (m->count != at + 1)
		return false;
	r = read_into(c->format, &m->item[at]);
	if (!read_next(&r, &out->text) || read_next(&r, &more) || r.bad ||
	    out->text.kind != KIND_TEXT || out->text.len != opt.size)
		return false;
	return read_hex(out->text.data, SENDER_DIGITS, &out->sender) &&
	       read_hex(out->text.data + SENDER_DIGITS, SEQUENCE_DIGITS,
			&out->sequence) &&
	       out->sender < opt.senders && out->sequence > 0 &&
	       memcmp(out->text.data + MIN_PAYLOAD,
		      filler + out->sequence % FILLER_PERIOD,
		      opt.size - MIN_PAYLOAD) == 0;
}

/* --- sending --- */

static void send_one(struct sender *s, int64_t due)
{
	uint64_t sequence = ++s->sent;
	struct slot *slot = &s->ring[sequence & ring_mask];
	struct writer w = conn_write(&s->conn);
	char uri[256];
	int len;

	len = rpc ? snprintf(uri, sizeof(uri), "%s.p%u", opt.uri,
			     (unsigned)(sequence % opt.receivers))
		  : snprintf(uri, sizeof(uri), "%s.topic", opt.uri);
	put_list(&w, 5);
	put_uint(&w, rpc ? WAMP_CALL : WAMP_PUBLISH);
	put_uint(&w, sequence);
	put_map(&w, 0);
	put_end(&w, '}');
	put_text(&w, uri, (size_t)len);
	put_payload(&w, s->conn.index, sequence);
	put_end(&w, ']');
	*slot = (struct slot){
		.sequence = sequence,
		.due = due,
		.missing = rpc ? 1 : opt.receivers,
	};
	conn_send(&s->conn);
}

/* The senders take turns: each message is due one period after the previous one. */
static int64_t due_at(const struct sender *s)
{
	double n = (double)s->sent * opt.senders + s->conn.index;

	return first_due + (int64_t)(n * 1e9 / opt.rate);
}

static void refill(struct sender *s, int64_t now)
{
	if (opt.burst && s->sent != s->done)
		return;
	while (sending && s->sent < quota && s->conn.state == CONN_OPEN &&
	       s->ring[(s->sent + 1) & ring_mask].sequence == 0) {
		if (opt.rate > 0 ? due_at(s) > now : s->sent - s->done >= opt.window)
			return;
		send_one(s, opt.rate > 0 ? due_at(s) : now);
	}
}

static void refill_all(void)
{
	int64_t now = now_ns();

	for (unsigned i = 0; i < opt.senders; i++)
		refill(&senders[i], now);
}

/* --- checking --- */

static void arrived(struct sender *s, struct slot *slot)
{
	if (measuring) {
		result.messages++;
		histogram_add(&result.delay, conn_read_at - slot->due);
	}
	if (--slot->missing == 0) {
		slot->sequence = 0;
		s->done++;
	}
}

static void on_result(struct conn *c, const struct message *m)
{
	struct sender *s = c->owner;
	struct content content;
	struct slot *slot;

	if (m->item[1].kind != KIND_UINT || !read_payload(c, m, 3, &content) ||
	    content.sender != c->index || content.sequence != m->item[1].number) {
		complain("caller %u: not the result of its call", c->index);
		return;
	}
	slot = &s->ring[content.sequence & ring_mask];
	if (slot->sequence != content.sequence) {
		result.doubled++;
		return;
	}
	answered++;
	arrived(s, slot);
}

/* Checks an INVOCATION or EVENT: true if it is the next one of its sender. */
static bool judge_order(struct receiver *r, const struct content *content)
{
	uint64_t *next = &r->next[content->sender];

	if (content->sequence < *next) {
		result.doubled++;
		return false;
	}
	if (content->sequence > *next)
		result.reordered++;
	*next = content->sequence + (rpc ? opt.receivers : 1);
	delivered++;
	return true;
}

static void on_event(struct conn *c, const struct message *m)
{
	struct receiver *r = c->owner;
	struct content content;
	struct sender *s;
	struct slot *slot;

	if (!read_payload(c, m, 4, &content) || m->item[1].kind != KIND_UINT ||
	    m->item[1].number != r->id || m->item[2].kind != KIND_UINT) {
		complain("subscriber %u: not an event of its subscription", c->index);
		return;
	}
	if (!judge_order(r, &content))
		return;
	s = &senders[content.sender];
	slot = &s->ring[content.sequence & ring_mask];
	if (slot->publication == 0)
		slot->publication = m->item[2].number;
	if (slot->sequence != content.sequence ||
	    slot->publication != m->item[2].number) {
		complain("subscriber %u: wrong publication id", c->index);
		return;
	}
	arrived(s, slot);
}

static void on_invocation(struct conn *c, const struct message *m)
{
	struct receiver *r = c->owner;
	struct content content;
	struct writer w;

	if (!read_payload(c, m, 4, &content) || m->item[1].kind != KIND_UINT ||
	    m->item[2].kind != KIND_UINT || m->item[2].number != r->id ||
	    content.sequence % opt.receivers != c->index) {
		complain("callee %u: not a call of its procedure", c->index);
		return;
	}
	judge_order(r, &content);
	w = conn_write(c);
	put_list(&w, 4);
	put_uint(&w, WAMP_YIELD);
	put_uint(&w, m->item[1].number);
	put_map(&w, 0);
	put_end(&w, '}');
	put_list(&w, 1);
	put_text(&w, (const char *)content.text.data, content.text.len);
	put_end(&w, ']');
	put_end(&w, ']');
	conn_send(c);
}

static void on_message(struct conn *c, const struct message *m)
{
	bool sender = is_sender(c);

	if (rpc && sender && m->type == WAMP_RESULT) {
		on_result(c, m);
	} else if (!rpc && !sender && m->type == WAMP_EVENT) {
		on_event(c, m);
	} else if (rpc && !sender && m->type == WAMP_INVOCATION) {
		on_invocation(c, m);
	} else if (!sender && m->count > 2 &&
		   m->type == (rpc ? WAMP_REGISTERED : WAMP_SUBSCRIBED)) {
		((struct receiver *)c->owner)->id = m->item[2].number;
		ready++;
	} else {
		complain("a message of type %" PRIu64 ": %.*s", m->type,
			 m->count > 4 ? (int)m->item[4].len : 0,
			 m->count > 4 ? (const char *)m->item[4].data : "");
		broken = true;
	}
}

/* --- preparing --- */

static void on_open(struct conn *c)
{
	struct writer w = conn_write(c);
	char uri[256];

	if (is_sender(c)) {
		ready++;
		return;
	}
	if (rpc)
		snprintf(uri, sizeof(uri), "%s.p%u", opt.uri, c->index);
	else
		snprintf(uri, sizeof(uri), "%s.topic", opt.uri);
	put_list(&w, 4);
	put_uint(&w, rpc ? WAMP_REGISTER : WAMP_SUBSCRIBE);
	put_uint(&w, 1);
	put_map(&w, 0);
	put_end(&w, '}');
	put_string(&w, uri);
	put_end(&w, ']');
	conn_send(c);
}

static void on_closed(struct conn *c, const char *why)
{
	complain("connection %u: %s", c->index, why);
	broken = true;
}

static void make_clients(void)
{
	uint64_t size = 64;

	while (size < opt.window * UINT64_C(4))
		size *= 2;
	if (opt.rate > 0 && size < RING_AT_A_RATE)
		size = RING_AT_A_RATE;
	ring_mask = size - 1;
	senders = must(calloc(opt.senders, sizeof(*senders)));
	receivers = must(calloc(opt.receivers, sizeof(*receivers)));
	for (unsigned i = 0; i < opt.senders; i++) {
		senders[i].conn.owner = &senders[i];
		senders[i].conn.index = i;
		senders[i].ring = must(calloc(size, sizeof(*senders[i].ring)));
	}
	for (unsigned i = 0; i < opt.receivers; i++) {
		struct receiver *r = &receivers[i];
		r->conn.owner = r;
		r->conn.index = i;
		r->next = must(calloc(opt.senders, sizeof(*r->next)));
		for (unsigned s = 0; s < opt.senders; s++)
			r->next[s] = !rpc ? 1 : i == 0 ? opt.receivers : i;
	}
}

/* Receivers first, so that they are there when the first message is sent. */
static bool connect_all(void)
{
	unsigned total = opt.receivers + opt.senders, started = 0;
	int64_t until = now_ns() + (int64_t)(opt.deadline * 1e9);
	unsigned before = 0;

	while (ready < total && !broken && now_ns() < until) {
		while (started < total && started - ready < CONNECTING_AT_ONCE &&
		       (started < opt.receivers || ready >= opt.receivers)) {
			if (started < opt.receivers)
				conn_start(&receivers[started].conn,
					   opt.receiver_format[started %
							       opt.receiver_formats]);
			else
				conn_start(&senders[started - opt.receivers].conn,
					   opt.format);
			started++;
		}
		conn_turn(TURN_NS);
		if (ready != before)
			until = now_ns() + (int64_t)(opt.deadline * 1e9);
		before = ready;
	}
	return ready == total && !broken;
}

/* --- the run --- */

static bool all_done(void)
{
	for (unsigned i = 0; i < opt.senders; i++)
		if (senders[i].sent != senders[i].done ||
		    (sending && senders[i].sent < quota))
			return false;
	return true;
}

/* Serves until a time or until all is done. False if nothing moves any more. */
static bool serve(int64_t until)
{
	uint64_t before = delivered + answered;
	int64_t now = now_ns(), moved = now;

	while (now < until && !all_done()) {
		refill_all();
		/* At a rate, spin: our own wake-up must not be part of the latency. */
		conn_turn(opt.rate > 0 && sending ? 0 : TURN_NS);
		now = now_ns();
		if (delivered + answered != before)
			moved = now;
		before = delivered + answered;
		if (broken || now - moved > (int64_t)(opt.deadline * 1e9))
			return false;
	}
	return true;
}

/* A message between GOODBYE and its answer would be a duplicate. */
static void leave_all(void)
{
	int64_t until = now_ns() + (int64_t)(opt.deadline * 1e9);

	for (unsigned i = 0; i < opt.senders; i++)
		if (senders[i].conn.state == CONN_OPEN)
			conn_leave(&senders[i].conn);
	for (unsigned i = 0; i < opt.receivers; i++)
		if (receivers[i].conn.state == CONN_OPEN)
			conn_leave(&receivers[i].conn);
	while (conn_count[CONN_LEAVING] > 0 && now_ns() < until)
		conn_turn(TURN_NS);
	if (conn_count[CONN_LEAVING] > 0)
		complain("%u GOODBYEs without an answer", conn_count[CONN_LEAVING]);
}

static bool measure(void)
{
	bool fine;

	sending = true;
	quota = opt.count > 0 ? opt.count / opt.senders : UINT64_MAX;
	first_due = now_ns();
	fine = opt.count > 0 || serve(now_ns() + (int64_t)(opt.warmup * 1e9));
	measuring = true;
	result.from = usage_now();
	fine = fine &&
	       serve(opt.count > 0 ? INT64_MAX : now_ns() + (int64_t)(opt.seconds * 1e9));
	result.to = usage_now();
	measuring = false;
	sending = false;
	return fine && serve(INT64_MAX);
}

static void run_traffic(void)
{
	uint64_t sent = 0;

	result.unit = rpc ? "call" : "delivery";
	conn_handler = (struct conn_handler){on_open, on_message, on_closed};
	make_filler();
	make_clients();
	result.finished = preload(rpc);
	conn_handler = (struct conn_handler){on_open, on_message, on_closed};
	result.finished = result.finished && connect_all() && measure();
	leave_all();
	preload_leave();
	for (unsigned i = 0; i < opt.senders; i++)
		sent += senders[i].sent;
	result.total = rpc ? sent : sent * opt.receivers;
	result.lost = result.total - (rpc ? answered : delivered);
}

void run_rpc(void)
{
	rpc = true;
	run_traffic();
}

void run_pubsub(void)
{
	run_traffic();
}
