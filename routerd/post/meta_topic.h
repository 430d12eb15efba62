/* SPDX-License-Identifier: Apache-2.0 */
/* The topics of the meta events (specification: "Meta API"). No state; any thread. */
#ifndef ROUTERD_POST_META_TOPIC_H
#define ROUTERD_POST_META_TOPIC_H

#include "common/base.h"
#include "proto/uri.h"

enum meta_topic {
	META_SESSION_ON_JOIN = 0,
	META_SESSION_ON_LEAVE = 1,
	META_SUBSCRIPTION_ON_CREATE = 2,
	META_SUBSCRIPTION_ON_SUBSCRIBE = 3,
	META_SUBSCRIPTION_ON_UNSUBSCRIBE = 4,
	META_SUBSCRIPTION_ON_DELETE = 5,
	META_REGISTRATION_ON_CREATE = 6,
	META_REGISTRATION_ON_REGISTER = 7,
	META_REGISTRATION_ON_UNREGISTER = 8,
	META_REGISTRATION_ON_DELETE = 9,
	META_TOPIC_COUNT = 10,
};

/* "wamp.session.on_join" */
struct slice meta_topic_name(enum meta_topic topic);

/* The topics that a subscription matches: bit t stands for topic t. */
unsigned meta_topics_matching(enum match how, struct slice pattern);

#endif
