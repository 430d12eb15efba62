/* SPDX-License-Identifier: Apache-2.0 */
/* The topics of the meta events (specification: "Meta API"). No state; any thread. */
#ifndef ROUTERD_POST_META_TOPIC_H
#define ROUTERD_POST_META_TOPIC_H

#include "common/base.h"
#include "proto/uri.h"

enum meta_topic {
	META_SESSION_ON_JOIN = 0,
	META_SESSION_ON_LEAVE = 1,
	META_TOPIC_COUNT = 2,
};

/* "wamp.session.on_join" */
struct slice meta_topic_name(enum meta_topic topic);

/* The topics that a subscription matches: bit t stands for topic t. */
unsigned meta_topics_matching(enum match how, struct slice pattern);

#endif
