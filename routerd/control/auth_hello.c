/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of hello; see auth_hello.h. Worker 0. */
#include "routerd/control/auth_hello.h"

#include "routerd/version.h"

#include <unistd.h>

enum { NAMES_MAX = 64 }; /* realms or listeners that are named */

/* Leaves out what would be too long: it only informs. */
static struct slice names_or_nothing(struct buf *b, const struct slice *names, size_t n)
{
	auth_list_write(b, names, n);
	return b->err == 0 ? buf_slice(b) : slice_of(NULL, 0);
}

static struct slice realm_names(struct buf *b, const struct config *cfg)
{
	struct slice names[NAMES_MAX];
	size_t n;

	for (n = 0; n < cfg->n_realms && n < NAMES_MAX; n++)
		names[n] = slice_str(cfg->realms[n].name);
	return names_or_nothing(b, names, n);
}

static struct slice listener_names(struct buf *b, const struct config *cfg)
{
	struct slice names[NAMES_MAX];
	size_t n;

	for (n = 0; n < cfg->n_listeners && n < NAMES_MAX; n++)
		names[n] = slice_str(cfg->listeners[n].name);
	return names_or_nothing(b, names, n);
}

void auth_hello_put(struct buf *out, const struct config *cfg,
		    const struct auth_hello_memory *m)
{
	static const struct slice methods[] = {{(const uint8_t *)"cryptosign", 10}};
	struct buf known, realms, listeners;

	buf_init(&known, AUTH_MAX_STRING);
	buf_init(&realms, AUTH_MAX_STRING);
	buf_init(&listeners, AUTH_MAX_STRING);
	struct auth_hello h = {
		.protocol = {AUTH_VERSION_MAJOR, AUTH_VERSION_MINOR},
		.product = slice_str("routerd/" ROUTERD_VERSION),
		.instance = slice_str(m->instance),
		.pid = (uint64_t)getpid(),
		.max_message = AUTH_MAX_MESSAGE,
		.max_depth = AUTH_MAX_DEPTH,
		.features =
			AUTH_FEATURE_REVOKE | AUTH_FEATURE_CANCEL | AUTH_FEATURE_EVENTS,
		.methods = names_or_nothing(&known, methods, ARRAY_LEN(methods)),
		.realms = realm_names(&realms, cfg),
		.listeners = listener_names(&listeners, cfg),
		.last_epoch = m->last_epoch,
		.last_db = slice_str(m->last_db),
	};
	fields_write_params(out, &auth_hello_table, &h);
	buf_fini(&known);
	buf_fini(&realms);
	buf_fini(&listeners);
}
