/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS between the socket and the framings: reads and writes the records of one stream.
 * OpenSSL does not use the socket. One read from the socket and one write to it serve any
 * number of records.
 *
 * A handshake needs much CPU time and memory. So tls_read puts a client's part of a
 * handshake in a list of net.tls, and reads it when tls_take has taken it from there,
 * for a limited time in each turn. The worker's thread.
 */
#ifndef ROUTERD_NET_TLS_H
#define ROUTERD_NET_TLS_H

#include "common/buf.h"
#include "routerd/net/hosts.h"
#include "routerd/net/outq.h"
#include "routerd/net/tls_context.h"
#include "routerd/net/tls_tickets.h"

#include <sys/queue.h>

struct net;
struct stream;

enum { TLS_FIRST_OCTET = 22 }; /* of a client that speaks TLS */

enum tls_state {
	TLS_NEW = 0,         /* nothing has come from the client */
	TLS_NEW_DUE = 1,     /* its first bytes can be read: in hellos or in crowd */
	TLS_SHAKING = 2,     /* the handshake waits for more from the client */
	TLS_SHAKING_DUE = 3, /* which can be read: in tls_worker.flights */
	TLS_OPEN = 4,
	TLS_BROKEN = 5, /* an alert or the last answer was written; input is ignored */
};

/* The TLS of one stream. */
struct tls {
	struct stream *stream;
	const struct tls_context *context; /* lent */
	struct tls_worker *worker;
	SSL *ssl; /* NULL in states NEW and NEW_DUE */
	TAILQ_ENTRY(tls) link;
	TAILQ_ENTRY(tls) slot_link; /* in tls_worker.slots */
	uint64_t begun_ms;          /* when it got a slot */
	const struct address *peer; /* lent; used only during the handshake */
	struct host *host;          /* counts it in states NEW_DUE and SHAKING; or NULL */
	/* Records that the kernel did not take, at most 64 KiB; NULL: none. */
	struct buf *left;
	size_t left_counted; /* bytes of `left` that the queue's memory includes */
	/* If TLS failed: why. A constant; NULL: it did not. */
	const char *why;
	uint8_t state;       /* enum tls_state */
	uint8_t first_octet; /* of the client; 22 is TLS, 0 also a PROXY header */
	bool in_crowd;       /* in state NEW_DUE: it is in tls_worker.crowd */
	bool taken;          /* tls_read may read a part of the handshake now */
	bool shaken;         /* the handshake has succeeded */
	bool ended;          /* the client has sent close_notify */
	bool broke;          /* a record was not valid, and the caller was not told yet */
	bool notified;       /* close_notify was written */
	bool by_peer;        /* `why` is an alert of the client */
	uint8_t idle_records; /* records without data since the last read with some */
};

TAILQ_HEAD(tls_list, tls);

/* What the TLS streams of one worker share; a part of struct net. */
struct tls_worker {
	uint8_t *in;       /* bytes of the socket; NULL: no listener has TLS */
	uint8_t *gather;   /* short pieces of output, for one record */
	struct slice feed; /* the rest of what was read, for OpenSSL */
	struct buf out;    /* what OpenSSL has written */
	BIO_METHOD *bio;
	/*
	 * In state NEW_DUE, the oldest first. An address whose streams have half of all
	 * slots, or wait for them, waits in the crowd: behind all others, and without the
	 * last quarter of the slots. Otherwise silent clients of one address would keep
	 * out all others.
	 */
	struct tls_list hellos, crowd;
	struct tls_list flights; /* in state SHAKING_DUE */
	struct tls_list slots;   /* in both states of SHAKING, the oldest first */
	unsigned waiting;        /* number of streams in hellos and crowd */
	unsigned n_crowd;        /* in crowd */
	struct id_table hosts;   /* host.node */
	unsigned in_progress;    /* number of streams in slots */
	unsigned max;            /* limit of in_progress */
	uint64_t cost_ns;        /* moving average of a handshake's CPU time */
	uint64_t usual_ms;     /* moving average of the time from its begin to its end */
	size_t session_memory; /* of one stream, an estimate; `left` is not included */
	size_t memory;         /* of all streams; net.out.memory includes it */
	struct tls_tickets tickets;
};

/*
 * Prepares net.tls for at most max handshakes at a time. 0 or E_NOMEM. tls_worker_fini
 * frees everything, also if this was not called or has failed.
 */
int tls_worker_init(struct net *n, unsigned max,
		    const struct tls_ticket_seed *seed) MUSTCHECK;
void tls_worker_fini(struct net *n);

/* peer must live as long as the stream. NULL if out of memory. */
struct tls *tls_new(struct net *n, struct stream *s, const struct tls_context *context,
		    const struct address *peer) MUSTCHECK;
/*
 * Take the TLS of a stream away, and give it to a stream of another worker. It must be in
 * state OPEN when it is taken away. q is the stream's queue. tls_attach takes it only on
 * success; else E_NOMEM. tls_drop frees it in between.
 */
struct tls *tls_detach(struct net *n, struct tls **t, struct outq *q);
int tls_attach(struct net *n, struct tls *t, struct stream *s, struct outq *q) MUSTCHECK;
void tls_drop(struct tls **t);

/* Frees it and clears the pointer. q is the stream's queue. */
void tls_free(struct net *n, struct tls **t, struct outq *q);

/*
 * Why a new client of this address should be refused at once: it would wait longer for
 * its handshake than clients do, or sessions use all that they may of net.max_queued.
 * NULL: it should not.
 */
const char *tls_overload(const struct net *n, const struct address *peer);

/*
 * Takes the next part of a handshake from the lists, so that tls_read may read it; the
 * parts of handshakes that have begun are first. NULL: there is none, or too many have
 * begun.
 */
struct tls *tls_take(struct net *n);
/* Is there one for tls_take? */
bool tls_has_due(const struct net *n);
/*
 * A handshake that must make room, because it has waited for its client for a long time
 * and others cannot begin. NULL: none; then *when_out says when to ask again in any case,
 * in milliseconds of the loop; 0: never.
 */
struct tls *tls_find_late(const struct net *n, uint64_t *when_out);

/*
 * Reads from the socket, at most once, and decrypts into net.scratch. Whatever was read
 * is decrypted, so nothing is left that no event announces, except as tls_is_over says.
 * E_AGAIN: there are no data, but output may have been added to `left`. E_CLOSED: as in
 * sock_read; errno is 0 only after close_notify. E_SYNTAX: the handshake failed, or the
 * client does not speak TLS: see `why`; an answer is in `left`. E_LIMIT: too many records
 * without data, or an answer is too long. E_NOMEM.
 */
int tls_read(struct net *n, struct tls *t, struct outq *q, size_t *got_out) MUSTCHECK;

/*
 * True if tls_read has data of a stream that ended, or broke, behind them: the next call
 * returns an error, although no event will announce it.
 */
static inline bool tls_is_over(const struct tls *t)
{
	return t->ended || t->broke;
}

/*
 * Must the socket's input wait: for tls_take, or until more of `left` is written? OpenSSL
 * answers some records by itself, and a client that does not read may send many of them.
 */
bool tls_must_wait(const struct tls *t);

/* Is there something to write now? q is the stream's queue. */
bool tls_has_output(const struct tls *t, const struct outq *q);

/*
 * Writes `left`, then, if the kernel has taken all of it, encrypts and writes the first
 * 48 KiB of the queue. 0: *full_out says whether the kernel has taken everything. Else an
 * error of sock_writev, or E_NOMEM.
 */
int tls_write(struct net *n, struct tls *t, struct outq *q, bool *full_out) MUSTCHECK;

/*
 * Adds close_notify to `left`, once. True if it did: write it before the output is shut
 * down.
 */
bool tls_notify_close(struct net *n, struct tls *t, struct outq *q);

/* Answers in clear, instead of TLS, and ignores all that follows. E_NOMEM. */
int tls_answer_plainly(struct net *n, struct tls *t, struct outq *q,
		       struct slice answer) MUSTCHECK;

#endif
