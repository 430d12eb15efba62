/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the payloads of meta events (specification: "Meta API"). The broker publishes
 * them. Internal to core/. Call it on the owner's thread.
 */
#ifndef ROUTERD_CORE_META_EVENT_H
#define ROUTERD_CORE_META_EVENT_H

#include "common/base.h"
#include "routerd/core/pattern.h"
#include "routerd/post/identity.h"
#include "routerd/post/meta_topic.h"
#include "routerd/post/payload_writer.h"

/*
 * Writes the dict that describes a session, for wamp.session.get and on_join. The keys of
 * transport are those that Crossbar uses.
 */
void meta_put_session(struct payload_writer *w, const struct identity *i);

/*
 * Writes the dict that describes a registration or subscription, for get and on_create.
 * invoke: NULL for a subscription.
 */
void meta_put_pattern(struct payload_writer *w, const struct pattern *p,
		      const char *invoke);

/* on_join or on_leave, with one reference. NULL if out of memory. */
struct payload *meta_event_of_session(enum meta_topic topic, const struct identity *i);
/*
 * One of the other events, caused by this session (a WAMP session id). Only on_create of
 * a registration needs invoke.
 */
struct payload *meta_event_of_pattern(enum meta_topic topic, uint64_t session,
				      const struct pattern *p, const char *invoke);

#endif
