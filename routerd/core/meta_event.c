/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads of the meta events; the owner's thread. See meta_event.h. */
#include "routerd/core/meta_event.h"

static void put_pair(struct payload_writer *w, const char *key, struct slice value)
{
	payload_put_text(w, slice_str(key));
	payload_put_text(w, value);
}

void meta_put_session(struct payload_writer *w, const struct identity *i)
{
	payload_put_dict(w);
	payload_put_text(w, slice_str("session"));
	payload_put_number(w, i->session);
	put_pair(w, "authid", i->authid);
	put_pair(w, "authrole", i->authrole);
	put_pair(w, "authmethod", slice_str(i->authmethod));
	put_pair(w, "authprovider", i->authprovider);
	payload_put_text(w, slice_str("transport"));
	payload_put_dict(w);
	put_pair(w, "channel_type", slice_str(i->channel.type));
	put_pair(w, "channel_framing", slice_str(i->channel.framing));
	put_pair(w, "channel_serializer", slice_str(i->channel.serializer));
	put_pair(w, "peer", i->peer_name);
	payload_put_end(w);
	payload_put_end(w);
}

void meta_put_pattern(struct payload_writer *w, const struct pattern *p,
		      const char *invoke)
{
	payload_put_dict(w);
	payload_put_text(w, slice_str("id"));
	payload_put_number(w, p->by_id.id);
	payload_put_text(w, slice_str("created"));
	payload_put_time(w, p->created_ms);
	put_pair(w, "uri", p->uri);
	put_pair(w, "match", slice_str(match_names[p->match]));
	if (invoke != NULL)
		put_pair(w, "invoke", slice_str(invoke));
	payload_put_end(w);
}

/* Ends an event. It is never too long: its texts come from messages that were read. */
static struct payload *finish_event(struct payload_writer **w)
{
	struct payload *payload;

	return payload_finish(w, &payload) == 0 ? payload : NULL;
}

struct payload *meta_event_of_session(enum meta_topic topic, const struct identity *i)
{
	struct payload_writer *w = payload_writer_of(meta_topic_name(topic));

	if (w == NULL)
		return NULL;
	if (topic == META_SESSION_ON_JOIN) {
		meta_put_session(w, i);
	} else {
		payload_put_number(w, i->session);
		payload_put_text(w, i->authid);
		payload_put_text(w, i->authrole);
	}
	return finish_event(&w);
}

struct payload *meta_event_of_pattern(enum meta_topic topic, uint64_t session,
				      const struct pattern *p, const char *invoke)
{
	struct payload_writer *w = payload_writer_of(meta_topic_name(topic));

	if (w == NULL)
		return NULL;
	payload_put_number(w, session);
	if (topic == META_SUBSCRIPTION_ON_CREATE || topic == META_REGISTRATION_ON_CREATE)
		meta_put_pattern(w, p, invoke);
	else
		payload_put_number(w, p->by_id.id);
	return finish_event(&w);
}
