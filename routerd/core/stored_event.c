/* SPDX-License-Identifier: Apache-2.0 */
/* Events that the realm stores; the owner's thread. See stored_event.h. */
#include "routerd/core/stored_event.h"

#include <stdlib.h>

struct stored_event *stored_event_new(struct identity *publisher,
				      const struct post *publish, uint64_t publication,
				      uint64_t published_ms)
{
	struct stored_event *e = malloc(sizeof(*e));
	struct payload *kept = e == NULL ? NULL : payload_keep(publish->payload);

	if (kept == NULL) {
		free(e);
		return NULL;
	}
	*e = (struct stored_event){
		.payload = kept,
		.publication = publication,
		.publisher = publisher == NULL ? 0 : publisher->session,
		.published_ms = published_ms,
		.trust = publish->trust,
		.exclude_me = publish->exclude_me,
	};
	if (publish->options != NULL)
		e->options = options_ref(publish->options);
	if (publish->disclose == DISCLOSE_YES)
		e->disclosed = identity_ref(publisher);
	return e;
}

void stored_event_free(struct stored_event **ep)
{
	struct stored_event *e = *ep;

	*ep = NULL;
	if (e == NULL)
		return;
	payload_unref(&e->payload);
	options_unref(&e->options);
	identity_unref(&e->disclosed);
	free(e);
}

size_t stored_event_size(const struct stored_event *e)
{
	size_t size = stored_size(sizeof(*e)) + stored_size(payload_size(e->payload));

	if (e->options != NULL)
		size += stored_size(options_size(e->options));
	if (e->disclosed != NULL)
		size += stored_size(identity_size(e->disclosed));
	return size;
}
