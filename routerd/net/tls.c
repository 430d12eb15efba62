/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes TLS records; see tls.h. The worker's thread. */
#include "routerd/net/tls.h"

#include "common/err.h"
#include "common/sock.h"
#include "proto/proxy.h"
#include "routerd/net/net.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

enum {
	RECORD_MAX = SSL3_RT_MAX_PLAIN_LENGTH, /* data in a record */
	/*
	 * Bytes read at a time. OpenSSL may have a part of a record already, so this and
	 * a record have to fit into net.scratch.
	 */
	READ_MAX = NET_SCRATCH - RECORD_MAX,
	/*
	 * Bytes that wait for the kernel. What tls_write leaves fits, and so do OpenSSL's
	 * own answers: an answer is not longer than the record that caused it, apart from
	 * a last alert, and tls_read reads no more bytes than there is room for.
	 */
	LEFT_MAX = 64 * 1024,
	/*
	 * Bytes encrypted at a time. More is hardly faster. The rest of LEFT_MAX is for
	 * the heads of the records and for answers.
	 */
	WRITE_MAX = 48 * 1024,
	LAST_ALERT_MAX = 256, /* more than an alert and the rest of a record */
	/* With less room in `left` than this, input waits. */
	READ_MIN = 4 * 1024,
	/*
	 * Records without data, in a row or in one read, after the handshake. A client
	 * may send a few; each may cost as much as a message.
	 */
	IDLE_RECORDS_MAX = 32,
	WAIT_MAX_MS = 4000, /* clients give up after 5 s */
	FIRST_COST_NS = 1000 * 1000,
	/*
	 * How long a handshake that others wait for may take: a few round trips, or
	 * longer if it usually takes longer. Otherwise a storm of clients that share a
	 * slow machine would never end: each would have to begin again before it was
	 * done.
	 */
	SLOT_MS = 2000,
	SLOT_MAX_MS = 8000,
	SLOT_USUAL = 4, /* times the usual */
	/* Memory of an idle session, rounded up; measured with OpenSSL 3.0 and 3.5. */
	SESSION_MEMORY = 16 * 1024,
	SESSION_MEMORY_35 = 32 * 1024,
	OPENSSL_35 = 0x30500000,
};

/* --- the BIO: OpenSSL reads from and writes to the worker's buffers --- */

static int bio_read(BIO *bio, char *to, int len)
{
	struct tls *t = BIO_get_data(bio);
	struct tls_worker *w = t->worker;
	size_t n = min_size((size_t)len, w->feed.len);

	BIO_clear_retry_flags(bio);
	if (n == 0 || (t->state == TLS_OPEN && t->idle_records > IDLE_RECORDS_MAX)) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, w->feed.p, n);
	w->feed = slice_from(w->feed, n);
	return (int)n;
}

static int bio_write(BIO *bio, const char *from, int len)
{
	const struct tls *t = BIO_get_data(bio);
	struct buf *out = &t->worker->out;

	BIO_clear_retry_flags(bio);
	buf_put(out, from, (size_t)len);
	return out->err == 0 ? len : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
	(void)bio;
	(void)number;
	(void)arg;
	return command == BIO_CTRL_FLUSH;
}

/* Called for the head of each record, among others. */
static void on_record(int write_p, int version, int type, const void *buf, size_t len,
		      SSL *ssl, void *arg)
{
	struct tls *t = arg;

	(void)version;
	(void)buf;
	(void)len;
	(void)ssl;
	if (!write_p && type == SSL3_RT_HEADER && t->idle_records < UINT8_MAX)
		t->idle_records++;
}

/* --- the worker --- */

int tls_worker_init(struct net *n, unsigned max, const struct tls_ticket_seed *seed)
{
	struct tls_worker *w = &n->tls;

	w->in = malloc(READ_MAX);
	w->gather = malloc(RECORD_MAX);
	w->bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "routerd");
	if (w->in == NULL || w->gather == NULL || w->bio == NULL ||
	    id_table_init(&w->hosts) != 0)
		return E_NOMEM;
	BIO_meth_set_read(w->bio, bio_read);
	BIO_meth_set_write(w->bio, bio_write);
	BIO_meth_set_ctrl(w->bio, bio_ctrl);
	buf_init(&w->out, LEFT_MAX);
	TAILQ_INIT(&w->hellos);
	TAILQ_INIT(&w->crowd);
	TAILQ_INIT(&w->flights);
	TAILQ_INIT(&w->slots);
	w->max = max;
	w->cost_ns = FIRST_COST_NS;
	w->session_memory =
		OpenSSL_version_num() < OPENSSL_35 ? SESSION_MEMORY : SESSION_MEMORY_35;
	tls_tickets_init(&w->tickets, seed);
	return 0;
}

void tls_worker_fini(struct net *n)
{
	struct tls_worker *w = &n->tls;

	ASSERT(w->in_progress == 0 && w->waiting == 0 && w->memory == 0);
	tls_tickets_fini(&w->tickets);
	id_table_fini(&w->hosts);
	free(w->in);
	free(w->gather);
	BIO_meth_free(w->bio);
	if (w->bio != NULL)
		buf_fini(&w->out);
	memset(w, 0, sizeof(*w));
}

/* Must an address whose streams have or want so many slots wait in the crowd? */
static bool is_crowded(const struct tls_worker *w, unsigned count)
{
	return count > w->max / 2;
}

const char *tls_overload(const struct net *n, const struct address *peer)
{
	const struct tls_worker *w = &n->tls;
	uint64_t before = w->waiting;

	if (w->n_crowd > 0 && !is_crowded(w, hosts_get(&w->hosts, peer) + 1))
		before -= w->n_crowd;
	/* handshakes get about half of the worker's time */
	if (before * 2 * w->cost_ns >= UINT64_C(1000000) * WAIT_MAX_MS)
		return "too many TLS handshakes wait";
	/* the rest is for messages */
	if (w->memory + w->session_memory > n->max_queued - n->max_queued / 4)
		return "TLS sessions use three quarters of queued_total";
	return NULL;
}

/* --- life --- */

/* Counts the memory of a session that this worker gets, or that leaves it. */
static void count_session(struct net *n, bool comes)
{
	size_t one = n->tls.session_memory;

	n->tls.memory = comes ? n->tls.memory + one : n->tls.memory - one;
	n->out.memory = comes ? n->out.memory + one : n->out.memory - one;
}

struct tls *tls_new(struct net *n, struct stream *s, const struct tls_context *context,
		    const struct address *peer)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->stream = s;
	t->context = context;
	t->peer = peer;
	t->worker = &n->tls;
	count_session(n, true);
	return t;
}

/* Connects OpenSSL with the worker. */
static int use_bio(struct tls_worker *w, struct tls *t)
{
	BIO *bio = BIO_new(w->bio);

	if (bio == NULL)
		return E_NOMEM;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	return SSL_set_app_data(t->ssl, &w->tickets) == 1 ? 0 : E_NOMEM;
}

/* Updates what the queue's memory includes of `left`. */
static void count_left(struct net *n, struct tls *t, struct outq *q)
{
	size_t is = t->left == NULL ? 0 : sizeof(*t->left) + t->left->cap;

	outq_recount(q, &n->out, t->left_counted, is);
	t->left_counted = is;
}

static void leave_lists(struct tls *t)
{
	struct tls_worker *w = t->worker;

	if (t->state == TLS_NEW_DUE) {
		TAILQ_REMOVE(t->in_crowd ? &w->crowd : &w->hellos, t, link);
		w->waiting--;
		w->n_crowd -= t->in_crowd;
	} else if (t->state == TLS_SHAKING_DUE) {
		TAILQ_REMOVE(&w->flights, t, link);
	}
}

/* Counts it for its address while it wants or has a slot. */
static void count_host(struct tls *t, enum tls_state to)
{
	struct tls_worker *w = t->worker;
	bool was = t->state >= TLS_NEW_DUE && t->state <= TLS_SHAKING_DUE;
	bool is = to >= TLS_NEW_DUE && to <= TLS_SHAKING_DUE;

	if (was && !is) {
		hosts_uncount(&w->hosts, &t->host);
	} else if (is && !was) {
		t->host = hosts_count(&w->hosts, t->peer);
		/* without memory to count it, let it wait */
		t->in_crowd = t->host == NULL || is_crowded(w, t->host->count);
	}
}

static void set_state(struct tls *t, enum tls_state to)
{
	struct tls_worker *w = t->worker;
	bool was = t->state == TLS_SHAKING || t->state == TLS_SHAKING_DUE;
	bool is = to == TLS_SHAKING || to == TLS_SHAKING_DUE;

	leave_lists(t);
	count_host(t, to);
	t->state = (uint8_t)to;
	w->in_progress = w->in_progress - was + is;
	if (is && !was)
		TAILQ_INSERT_TAIL(&w->slots, t, slot_link);
	else if (was && !is)
		TAILQ_REMOVE(&w->slots, t, slot_link);
	if (to == TLS_NEW_DUE) {
		TAILQ_INSERT_TAIL(t->in_crowd ? &w->crowd : &w->hellos, t, link);
		w->waiting++;
		w->n_crowd += t->in_crowd;
	} else if (to == TLS_SHAKING_DUE) {
		TAILQ_INSERT_TAIL(&w->flights, t, link);
	}
}

void tls_free(struct net *n, struct tls **tp, struct outq *q)
{
	struct tls *t = *tp;

	*tp = NULL;
	set_state(t, TLS_BROKEN);
	count_session(n, false);
	buf_free(&t->left);
	count_left(n, t, q);
	SSL_free(t->ssl);
	free(t);
}

struct tls *tls_detach(struct net *n, struct tls **tp, struct outq *q)
{
	struct tls *t = *tp;

	ASSERT(t->state == TLS_OPEN);
	*tp = NULL;
	outq_recount(q, &n->out, t->left_counted, 0);
	t->left_counted = 0;
	count_session(n, false);
	t->peer = NULL;
	/* The BIO belongs to this worker. */
	SSL_set_bio(t->ssl, NULL, NULL);
	t->worker = NULL;
	t->stream = NULL;
	return t;
}

int tls_attach(struct net *n, struct tls *t, struct stream *s, struct outq *q)
{
	if (use_bio(&n->tls, t) != 0)
		return E_NOMEM;
	t->worker = &n->tls;
	t->stream = s;
	count_session(n, true);
	count_left(n, t, q);
	return 0;
}

void tls_drop(struct tls **tp)
{
	struct tls *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	buf_free(&t->left);
	SSL_free(t->ssl);
	free(t);
}

/* The stream that may begin its handshake. NULL: none. */
static struct tls *next_hello(const struct tls_worker *w)
{
	if (!TAILQ_EMPTY(&w->hellos) && w->in_progress < w->max)
		return TAILQ_FIRST(&w->hellos);
	if (w->in_progress < w->max - w->max / 4)
		return TAILQ_FIRST(&w->crowd);
	return NULL;
}

static struct tls *next_due(const struct tls_worker *w)
{
	if (w->in == NULL)
		return NULL;
	return TAILQ_EMPTY(&w->flights) ? next_hello(w) : TAILQ_FIRST(&w->flights);
}

struct tls *tls_take(struct net *n)
{
	struct tls *t = next_due(&n->tls);

	if (t == NULL)
		return NULL;
	t->taken = true;
	set_state(t, t->ssl == NULL ? TLS_NEW : TLS_SHAKING);
	return t;
}

bool tls_has_due(const struct net *n)
{
	return next_due(&n->tls) != NULL;
}

static uint64_t slot_ms(const struct tls_worker *w)
{
	uint64_t ms = SLOT_USUAL * w->usual_ms;

	return ms < SLOT_MS ? SLOT_MS : ms > SLOT_MAX_MS ? SLOT_MAX_MS : ms;
}

struct tls *tls_find_late(const struct net *n, uint64_t *when_out)
{
	const struct tls_worker *w = &n->tls;
	struct tls *t;

	*when_out = 0;
	if (w->in == NULL || w->waiting == 0 || next_hello(w) != NULL)
		return NULL;
	TAILQ_FOREACH (t, &w->slots, slot_link) {
		if (loop_now_ms(n->loop) - t->begun_ms < slot_ms(w)) {
			*when_out = t->begun_ms + slot_ms(w);
			return NULL;
		}
		if (t->state == TLS_SHAKING)
			return t;
		/* the others wait for the router */
	}
	return NULL;
}

/* --- output --- */

/*
 * Moves what OpenSSL has written, except the first `from` bytes, to `left`. E_NOMEM, or
 * E_LIMIT: it is too much.
 */
static int keep_output(struct net *n, struct tls *t, struct outq *q, size_t from)
{
	struct tls_worker *w = t->worker;
	struct slice rest = slice_from(buf_slice(&w->out), from);
	int err = w->out.err;

	if (rest.len > 0 && err == 0) {
		if (t->left == NULL)
			t->left = buf_new(LEFT_MAX);
		if (t->left != NULL) {
			buf_reserve_exactly(t->left, t->left->len + rest.len);
			buf_put_slice(t->left, rest);
		}
		err = t->left == NULL ? E_NOMEM : t->left->err;
		count_left(n, t, q);
	}
	buf_clear(&w->out);
	return err;
}

/* Writes bytes to the socket. *put_out gets how many. */
static int write_bytes(struct net *n, const struct tls *t, struct slice bytes,
		       size_t *put_out)
{
	int err = sock_write(t->stream->fd, bytes.p, bytes.len, put_out);

	net_count(n, NET_WRITES, 1);
	if (err != 0)
		*put_out = 0;
	net_count(n, NET_BYTES_OUT, *put_out);
	return err == E_AGAIN ? 0 : err;
}

/* *full_out: nothing is left. */
static int write_left(struct net *n, struct tls *t, struct outq *q, bool *full_out)
{
	size_t put;
	int err;

	if (t->left == NULL)
		return 0;
	err = write_bytes(n, t, buf_slice(t->left), &put);
	if (err != 0)
		return err;
	buf_consume(t->left, put);
	*full_out = t->left->len == 0;
	if (t->left->len == 0)
		buf_free(&t->left);
	count_left(n, t, q);
	return 0;
}

/* Writes one record. */
static bool encrypt(struct tls *t, const void *data, size_t len)
{
	size_t put;

	ERR_clear_error();
	return SSL_write_ex(t->ssl, data, len, &put) == 1 && put == len;
}

/* Where encrypting has got to in the pieces of a queue. */
struct out_cursor {
	const struct iovec *iov;
	size_t at;
};

static void step_over(struct out_cursor *c, size_t n)
{
	c->at += n;
	if (c->at == c->iov->iov_len) {
		c->iov++;
		c->at = 0;
	}
}

/* The next len bytes; copied if they are in more than one piece. */
static const uint8_t *next_bytes(struct out_cursor *c, size_t len, uint8_t *gather)
{
	const uint8_t *here = (const uint8_t *)c->iov->iov_base + c->at;

	if (c->iov->iov_len - c->at >= len) {
		step_over(c, len);
		return here;
	}
	for (size_t have = 0; have < len;) {
		size_t part = min_size(c->iov->iov_len - c->at, len - have);

		memcpy(gather + have, (const uint8_t *)c->iov->iov_base + c->at, part);
		have += part;
		step_over(c, part);
	}
	return gather;
}

/*
 * Encrypts the first bytes of the queue, in records that are as full as possible. Returns
 * the number of bytes, or 0 after an error.
 */
static size_t encrypt_queue(struct tls *t, const struct outq *q)
{
	struct iovec iov[OUTQ_IOV_MAX];
	struct out_cursor c = {.iov = iov};
	size_t want, done = 0;

	(void)outq_peek(q, iov, OUTQ_IOV_MAX, &want);
	want = min_size(want, WRITE_MAX);
	while (done < want) {
		size_t len = min_size(RECORD_MAX, want - done);

		if (!encrypt(t, next_bytes(&c, len, t->worker->gather), len))
			return 0;
		done += len;
	}
	return done;
}

bool tls_has_output(const struct tls *t, const struct outq *q)
{
	return t->left != NULL || (t->state == TLS_OPEN && !outq_empty(q));
}

int tls_write(struct net *n, struct tls *t, struct outq *q, bool *full_out)
{
	struct tls_worker *w = &n->tls;
	size_t done, put;
	int err;

	*full_out = true;
	err = write_left(n, t, q, full_out);
	if (err != 0 || !*full_out || !tls_has_output(t, q))
		return err;
	done = encrypt_queue(t, q);
	if (done == 0) {
		/* The next connection must not send these records. */
		buf_clear(&w->out);
		return E_NOMEM;
	}
	outq_consume(q, &n->out, done);
	err = write_bytes(n, t, buf_slice(&w->out), &put);
	*full_out = put == w->out.len;
	int kept = keep_output(n, t, q, put);
	return err != 0 ? err : kept;
}

bool tls_notify_close(struct net *n, struct tls *t, struct outq *q)
{
	if (t->state != TLS_OPEN || t->notified)
		return false;
	t->notified = true;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	return keep_output(n, t, q, 0) == 0 && t->left != NULL;
}

int tls_answer_plainly(struct net *n, struct tls *t, struct outq *q, struct slice answer)
{
	set_state(t, TLS_BROKEN);
	buf_clear(&n->tls.out);
	buf_put_slice(&n->tls.out, answer);
	return keep_output(n, t, q, 0);
}

/* --- input --- */

/* Takes the reason for a failure from OpenSSL's queue of errors. */
static int note_failure(struct tls *t)
{
	unsigned long e = ERR_peek_error();

	t->why = ERR_reason_error_string(e);
	if (t->why == NULL)
		t->why = "unknown error";
	/* An alert is one octet. A lack of memory has a much higher number. */
	t->by_peer = ERR_GET_LIB(e) == ERR_LIB_SSL &&
		     ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET &&
		     ERR_GET_REASON(e) <= SSL_AD_REASON_OFFSET + UINT8_MAX;
	set_state(t, TLS_BROKEN);
	return E_SYNTAX;
}

/* Makes the state of the handshake when the client's first bytes have come. */
static int begin(struct net *n, struct tls *t)
{
	struct tls_worker *w = &n->tls;

	t->first_octet = w->feed.p[0];
	if (t->first_octet != TLS_FIRST_OCTET) {
		t->why = proxy_unexpected(w->feed);
		if (t->why == NULL)
			t->why = "the client does not speak TLS";
		else
			t->first_octet = 0; /* what comes behind the header may be TLS */
		t->by_peer = true;
		set_state(t, TLS_BROKEN);
		return E_SYNTAX;
	}
	t->ssl = tls_context_connect(t->context);
	if (t->ssl == NULL || use_bio(w, t) != 0)
		return E_NOMEM;
	SSL_set_accept_state(t->ssl);
	SSL_set_msg_callback(t->ssl, on_record);
	SSL_set_msg_callback_arg(t->ssl, t);
	net_count(n, NET_TLS_STARTED, 1);
	t->begun_ms = loop_now_ms(n->loop);
	set_state(t, TLS_SHAKING);
	return 0;
}

/* Goes on with the handshake. 0: it has ended. */
static int shake(struct net *n, struct tls *t)
{
	struct tls_worker *w = &n->tls;
	uint64_t start = clock_now_ns();

	tls_tickets_advance(&w->tickets, loop_now_ms(n->loop));
	ERR_clear_error();
	int result = SSL_do_handshake(t->ssl);
	int error = SSL_get_error(t->ssl, result);
	/* a handshake usually has two parts */
	w->cost_ns = w->cost_ns - w->cost_ns / 16 + (clock_now_ns() - start) / 8;
	if (error == SSL_ERROR_WANT_READ)
		return E_AGAIN;
	if (error != SSL_ERROR_NONE)
		return note_failure(t);
	t->idle_records = 0;
	t->shaken = true;
	net_count(n, NET_TLS_DONE, 1);
	w->usual_ms = (w->usual_ms * 7 + loop_now_ms(n->loop) - t->begun_ms) / 8;
	if (SSL_session_reused(t->ssl))
		net_count(n, NET_TLS_RESUMED, 1);
	set_state(t, TLS_OPEN);
	return 0;
}

/* Decrypts all records that were read. 0, or what comes after the data. */
static int decrypt(struct net *n, struct tls *t, size_t *got_out)
{
	for (;;) {
		size_t got;

		ERR_clear_error();
		if (SSL_read_ex(t->ssl, n->scratch + *got_out, NET_SCRATCH - *got_out,
				&got) == 1) {
			*got_out += got;
			/* on_record has counted it, before it was known to have data */
			if (t->idle_records > 0)
				t->idle_records--;
			continue;
		}
		switch (SSL_get_error(t->ssl, 0)) {
		case SSL_ERROR_WANT_READ:
			ASSERT(SSL_pending(t->ssl) == 0);
			if (n->tls.feed.len == 0)
				return E_AGAIN;
			t->why = "too many records without data";
			set_state(t, TLS_BROKEN);
			return E_LIMIT;
		case SSL_ERROR_ZERO_RETURN:
			t->ended = true;
			errno = 0;
			return E_CLOSED;
		default:
			return note_failure(t);
		}
	}
}

/* Handles the bytes in w->feed. Errors as in tls_read. */
static int handle_records(struct net *n, struct tls *t, size_t *got_out)
{
	int err = t->ssl == NULL ? begin(n, t) : 0;

	if (err == 0 && t->state == TLS_SHAKING)
		err = shake(n, t);
	return err != 0 ? err : decrypt(n, t, got_out);
}

/* How many bytes may be read, so that what OpenSSL answers fits into `left`. */
static size_t read_room(const struct tls *t)
{
	size_t left = t->left == NULL ? 0 : t->left->len;
	size_t room = LEFT_MAX - left;

	return room < READ_MIN ? 0 : min_size(READ_MAX, room - LAST_ALERT_MAX);
}

bool tls_must_wait(const struct tls *t)
{
	return t->state == TLS_NEW_DUE || t->state == TLS_SHAKING_DUE ||
	       read_room(t) == 0;
}

int tls_read(struct net *n, struct tls *t, struct outq *q, size_t *got_out)
{
	struct tls_worker *w = &n->tls;
	size_t len;
	int err, kept;

	*got_out = 0;
	if (t->broke) {
		t->broke = false;
		return E_SYNTAX;
	}
	if (t->ended) {
		errno = 0;
		return E_CLOSED;
	}
	if ((t->state == TLS_NEW || t->state == TLS_SHAKING) && !t->taken) {
		set_state(t, t->state == TLS_NEW ? TLS_NEW_DUE : TLS_SHAKING_DUE);
		return E_AGAIN;
	}
	t->taken = false;
	if (read_room(t) == 0)
		return E_AGAIN;
	err = sock_read(t->stream->fd, w->in, read_room(t), &len);
	if (err == E_CLOSED && errno == 0)
		errno = ECONNRESET; /* without close_notify it is not a clean end */
	if (err != 0)
		return err;
	net_count(n, NET_BYTES_IN, len);
	if (t->state == TLS_BROKEN)
		return E_AGAIN;
	w->feed = slice_of(w->in, len);
	err = handle_records(n, t, got_out);
	if (*got_out > 0)
		t->idle_records = 0;
	w->feed = slice_of(NULL, 0);
	kept = keep_output(n, t, q, 0);
	if (kept == E_LIMIT)
		t->why = "the certificates are longer than 64 KiB";
	if (kept != 0)
		return kept;
	if (*got_out == 0 || err == E_LIMIT)
		return err;
	t->broke = err == E_SYNTAX;
	return 0;
}
