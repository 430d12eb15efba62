/* SPDX-License-Identifier: Apache-2.0 */
/* Warns of certificates that expire; see expiry.h. Thread of worker 0. */
#include "routerd/control/expiry.h"

#include "common/err.h"

#include <stdlib.h>
#include <time.h>

enum { DAY_S = 86400, HOUR_S = 3600 };

#define X(name, help) {#name, help, GAUGE, offsetof(struct expiry_counters, name)},
const struct counter_table expiry_counter_table = COUNTER_TABLE(
	struct expiry_counters,
	X(certificate_days,
	  "with TLS only: days until the transport's first certificate expires; 0 "
	  "if it has expired"));
#undef X

/* --- one certificate --- */

static enum expiry_state state_at(int64_t expires_s, int64_t now)
{
	if (expires_s <= now)
		return EXPIRY_OVER;
	return expires_s - now < CONFIG_EXPIRY_WARN_S ? EXPIRY_SOON : EXPIRY_FAR;
}

struct expiry_note expiry_note(int64_t expires_s, int64_t now)
{
	return (struct expiry_note){expires_s, now, state_at(expires_s, now)};
}

enum expiry_state expiry_say(struct expiry_note *note, int64_t now)
{
	enum expiry_state state = state_at(note->expires_s, now);
	bool again = now - note->said_s >= DAY_S || now < note->said_s;

	if (state == note->said && !again)
		return EXPIRY_FAR;
	note->said = state;
	note->said_s = now;
	return state;
}

int64_t expiry_wait(const struct expiry_note *note, int64_t now)
{
	const int64_t moments[] = {
		note->said_s + DAY_S,
		/* one more, because at that moment it is not SOON yet */
		note->expires_s - CONFIG_EXPIRY_WARN_S + 1,
		note->expires_s,
	};
	int64_t wait = HOUR_S;

	for (size_t i = 0; i < ARRAY_LEN(moments); i++)
		if (moments[i] > now && moments[i] - now < wait)
			wait = moments[i] - now;
	return wait;
}

/* --- all of them --- */

struct expiry_item {
	const struct config_listener *listener;
	const struct config_certificate *certificate;
	struct expiry_note note;
};

static void warn_of_expiry(const struct expiry_item *item, enum expiry_state state)
{
	const struct config_certificate *pair = item->certificate;

	log_warn(item->listener->name,
		 "certificate %s: replace it and restart routerd file=%s names=%s "
		 "expires=%s",
		 state == EXPIRY_OVER ? "has expired" : "expires soon",
		 log_quote(slice_str(pair->certificate)).text, pair->names,
		 pair->expires);
}

/* Says what is due, and asks for the next call. */
static void on_time(void *arg)
{
	struct expiry *e = arg;
	int64_t now = time(NULL), wait = HOUR_S;

	for (size_t i = 0; i < e->n_items; i++) {
		struct expiry_item *item = &e->items[i];
		enum expiry_state state = expiry_say(&item->note, now);
		int64_t its_wait = expiry_wait(&item->note, now);

		if (state != EXPIRY_FAR)
			warn_of_expiry(item, state);
		if (its_wait < wait)
			wait = its_wait;
	}
	timer_arm(&e->timer, (uint64_t)wait * 1000);
}

/* The number of certificates of a listener. */
static size_t n_certificates(const struct config_listener *l)
{
	const struct config_tls *tls = &l->endpoint.tls;

	return tls->own.certificate == NULL ? 0 : 1 + tls->n_more;
}

int expiry_init(struct expiry *e, struct loop *loop, const struct config *cfg)
{
	const int64_t now = time(NULL);
	size_t n = 0;

	*e = (struct expiry){0};
	for (size_t i = 0; i < cfg->n_listeners; i++)
		n += n_certificates(&cfg->listeners[i]);
	if (n == 0)
		return 0;
	e->items = calloc(n, sizeof(*e->items));
	if (e->items == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < cfg->n_listeners; i++) {
		const struct config_listener *l = &cfg->listeners[i];

		for (size_t k = 0; k < n_certificates(l); k++) {
			const struct config_certificate *pair =
				config_certificate_at(&l->endpoint.tls, k);
			e->items[e->n_items++] = (struct expiry_item){
				l, pair, expiry_note(pair->expires_s, now)};
		}
	}
	timer_init(&e->timer, loop, on_time, e);
	on_time(e);
	return 0;
}

void expiry_fini(struct expiry *e)
{
	if (e->items != NULL)
		timer_disarm(&e->timer);
	free(e->items);
	*e = (struct expiry){0};
}

struct expiry_counters expiry_count(const struct config_tls *tls, int64_t now)
{
	int64_t first = tls->own.expires_s;

	for (size_t i = 0; i < tls->n_more; i++)
		if (tls->more[i].expires_s < first)
			first = tls->more[i].expires_s;
	return (struct expiry_counters){first <= now ? 0
						     : (uint64_t)(first - now) / DAY_S};
}
