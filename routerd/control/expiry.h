/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the router runs, warns of each certificate of its transports that expires soon or
 * has expired: when this begins, and then once a day. At the start, config_load warns.
 * Thread of worker 0.
 */
#ifndef ROUTERD_CONTROL_EXPIRY_H
#define ROUTERD_CONTROL_EXPIRY_H

#include "common/counters.h"
#include "common/loop.h"
#include "routerd/config/config.h"

enum expiry_state {
	EXPIRY_FAR = 0,
	EXPIRY_SOON = 1, /* in less than CONFIG_EXPIRY_WARN_S */
	EXPIRY_OVER = 2,
};

/* What was said about one certificate. Times are Unix times in seconds. */
struct expiry_note {
	int64_t expires_s;
	int64_t said_s; /* when it was said last */
	enum expiry_state said;
};

/* A note for which everything has been said at `now`. */
struct expiry_note expiry_note(int64_t expires_s, int64_t now);
/*
 * What must be said at `now`; the note remembers it. EXPIRY_FAR: nothing. The clock may
 * be set back.
 */
enum expiry_state expiry_say(struct expiry_note *note, int64_t now);
/*
 * The number of seconds, from 1 to 3600, after which expiry_say must be asked again: when
 * it has something to say, or in an hour, since the clock may be set.
 */
int64_t expiry_wait(const struct expiry_note *note, int64_t now);

struct expiry_item;

/* Only expiry.c uses the fields. */
struct expiry {
	struct timer timer;
	struct expiry_item *items; /* all certificates of all transports; NULL: none */
	size_t n_items;
};

/*
 * Starts to watch the certificates. cfg must stay valid until expiry_fini. E_NOMEM;
 * expiry_fini may be called all the same.
 */
int expiry_init(struct expiry *e, struct loop *loop, const struct config *cfg) MUSTCHECK;
void expiry_fini(struct expiry *e);

/* A value about the certificates of a transport. */
struct expiry_counters {
	uint64_t certificate_days;
};
extern const struct counter_table expiry_counter_table;

/* The values of a transport with TLS at `now`. */
struct expiry_counters expiry_count(const struct config_tls *tls, int64_t now);

#endif
