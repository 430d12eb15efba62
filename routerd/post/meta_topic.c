/* SPDX-License-Identifier: Apache-2.0 */
/* The topics of the meta events; see meta_topic.h. Any thread. */
#include "routerd/post/meta_topic.h"

static const char *const topics[META_TOPIC_COUNT] = {
	[META_SESSION_ON_JOIN] = "wamp.session.on_join",
	[META_SESSION_ON_LEAVE] = "wamp.session.on_leave",
	[META_SUBSCRIPTION_ON_CREATE] = "wamp.subscription.on_create",
	[META_SUBSCRIPTION_ON_SUBSCRIBE] = "wamp.subscription.on_subscribe",
	[META_SUBSCRIPTION_ON_UNSUBSCRIBE] = "wamp.subscription.on_unsubscribe",
	[META_SUBSCRIPTION_ON_DELETE] = "wamp.subscription.on_delete",
	[META_REGISTRATION_ON_CREATE] = "wamp.registration.on_create",
	[META_REGISTRATION_ON_REGISTER] = "wamp.registration.on_register",
	[META_REGISTRATION_ON_UNREGISTER] = "wamp.registration.on_unregister",
	[META_REGISTRATION_ON_DELETE] = "wamp.registration.on_delete",
};

struct slice meta_topic_name(enum meta_topic topic)
{
	return slice_str(topics[topic]);
}

unsigned meta_topics_matching(enum match how, struct slice pattern)
{
	unsigned found = 0;

	for (unsigned t = 0; t < META_TOPIC_COUNT; t++)
		if (uri_matches(how, pattern, slice_str(topics[t])))
			found |= 1u << t;
	return found;
}
