/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the parameters of hello; see auth_hello.h. Thread of worker 0. */
#include "routerd/control/auth_hello.h"

#include <unistd.h>

enum { HELLO_NAMES_MAX = 64 }; /* limit of the realms or listeners that are named */

/*
 * Encodes the names of n structs of this size; `first` points to the name in the first
 * struct. Returns an empty slice if the names are too long: they are only informative.
 */
static struct slice names(struct buf *b, const char *const *first, size_t n, size_t size)
{
	struct slice list[HELLO_NAMES_MAX];

	n = min_size(n, HELLO_NAMES_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *name;
		memcpy(&name, (const char *)first + i * size, sizeof(name));
		list[i] = slice_str(name);
	}
	auth_list_write(b, list, n);
	return b->err == 0 ? buf_slice(b) : slice_of(NULL, 0);
}

void auth_hello_put(struct buf *out, const struct config *cfg,
		    const struct auth_hello_memory *m)
{
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
		.features = AUTH_FEATURE_REVOKE | AUTH_FEATURE_CANCEL |
			    AUTH_FEATURE_EVENTS | AUTH_FEATURE_AUTHORIZE,
		.methods = names(&known, config_method_names, METHOD_COUNT,
				 sizeof(config_method_names[0])),
		.realms = names(&realms, &cfg->realms->name, cfg->n_realms,
				sizeof(*cfg->realms)),
		.listeners = names(&listeners, &cfg->listeners->name, cfg->n_listeners,
				   sizeof(*cfg->listeners)),
		.last_epoch = m->last_epoch,
		.last_db = slice_str(m->last_db),
	};
	fields_write_params(out, &auth_hello_table, &h);
	buf_fini(&known);
	buf_fini(&realms);
	buf_fini(&listeners);
}
