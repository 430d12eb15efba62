/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks whether a client may make a request, and refuses those that it may not make; see
 * judge.h. The worker's thread.
 */
#include "routerd/peer/judge.h"

#include "proto/uri.h"
#include "routerd/peer/authorize.h"
#include "routerd/peer/peer.h"
#include "routerd/post/meta_topic.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const action_names[ACTION_COUNT] = {
	[ACTION_CALL] = "call",
	[ACTION_REGISTER] = "register",
	[ACTION_PUBLISH] = "publish to",
	[ACTION_SUBSCRIBE] = "subscribe to",
};

/*
 * True if this URI or pattern is reserved for the router. Clients may subscribe to meta
 * topics. CALL is exempt: the URI may be a meta procedure; if not, the owner answers "no
 * such procedure".
 */
static bool reserved(enum action action, enum match how, struct slice uri)
{
	return action != ACTION_CALL && uri_reserved(uri) &&
	       (action != ACTION_SUBSCRIBE || meta_topics_matching(how, uri) == 0);
}

/* Remembers that a CALL is refused, so that the later chunks of its input are dropped. */
static NOINLINE void refuse_input(struct peer *p, const struct msg *m)
{
	/* else a later chunk would be taken for a new call */
	if (inputs_refuse(p, m->request) != 0)
		peer_drop_no_memory(p, "a refused call");
}

/*
 * Refuses a request with an ERROR. Only counts and logs the refusal of a PUBLISH without
 * acknowledge, because such a PUBLISH gets no answer.
 */
static void refuse_with_text(struct peer *p, const struct msg *m, const char *uri,
			     struct slice text)
{
	if (UNLIKELY(m->type == WAMP_CALL && m->progress))
		refuse_input(p, m);
	if (m->type != WAMP_PUBLISH || m->acknowledge) {
		peer_error(p, m->testament ? WAMP_CALL : m->type, m->request, uri, text);
		return;
	}
	peers_count(p->peers, PEER_PUBLISHES_DROPPED);
	peer_log(p, LOG_LEVEL_INFO,
		 "publish dropped uri=%s error=%s reason=\"%s\" suppressed=%u",
		 log_quote(m->uri).text, uri, log_quote_text(text).text);
}

void judge_refuse(struct peer *p, const struct msg *m, const char *uri, const char *text)
{
	refuse_with_text(p, m, uri, slice_str(text));
}

void judge_quote_bad_uri(enum match how, struct slice uri, char *to, size_t size)
{
	snprintf(to, size, "invalid URI \"%s\": %s", log_quote_text(uri).text,
		 uri_fault(how, uri));
}

static NOINLINE void refuse_bad_uri(struct peer *p, const struct msg *m, enum match how)
{
	char text[WAMP_MAX_URI + 128];

	judge_quote_bad_uri(how, m->uri, text, sizeof(text));
	judge_refuse(p, m, WAMP_ERROR_INVALID_URI, text);
}

/* Refuses a request that the session may not make: counts, logs, and sends an ERROR. If
 * text is empty, the ERROR contains a standard text. */
static NOINLINE void deny_request(struct peer *p, const struct msg *m, enum action action,
				  const char *uri, struct slice text)
{
	const struct identity *i = p->identity;
	char ours[WAMP_MAX_URI + 64];

	peers_count(p->peers, PEER_NOT_AUTHORIZED);
	peer_log(p, LOG_LEVEL_INFO,
		 "not authorized type=%s uri=%s realm=%s authid=%s authrole=%s "
		 "session=%" PRIu64 " suppressed=%u",
		 wamp_type_name(m->type), log_quote(m->uri).text,
		 log_quote(i->realm_name).text, log_quote(i->authid).text,
		 log_quote(i->authrole).text, i->session);
	snprintf(ours, sizeof(ours), "this session's role may not %s <%.*s>",
		 action_names[action], (int)m->uri.len, (const char *)m->uri.p);
	refuse_with_text(p, m, uri, text.len > 0 ? text : slice_str(ours));
}

/*
 * Refuses a request about which the authorizer has not decided. detail is for the log,
 * text for the client.
 */
static void not_decided(struct peer *p, const struct msg *m, const char *detail,
			struct slice text)
{
	peers_count(p->peers, PEER_AUTHORIZATIONS_FAILED);
	peer_log(p, LOG_LEVEL_ERROR,
		 "authorization failed type=%s uri=%s authid=%s reason=\"%s\" "
		 "suppressed=%u",
		 wamp_type_name(m->type), log_quote(m->uri).text,
		 log_quote(p->identity->authid).text, detail);
	refuse_with_text(p, m, WAMP_ERROR_AUTHORIZATION_FAILED, text);
}

/*
 * Sets post->disclose: does the receiver learn who the sender is? False if the request
 * has been refused, because its permission forbids disclose_me.
 */
static bool judge_disclosure(struct peer *p, const struct msg *m, enum disclosure rule,
			     struct post *post)
{
	post->disclose = m->disclose ? DISCLOSE_YES : DISCLOSE_NO;
	if (LIKELY(rule == DISCLOSURE_ALLOW))
		return true;
	if (rule == DISCLOSURE_REFUSE && m->disclose) {
		judge_refuse(p, m, WAMP_ERROR_DISCLOSE_ME,
			     "disclose_me: this session's role may not disclose who the "
			     "client "
			     "is");
		return false;
	}
	post->disclose = rule == DISCLOSURE_FORCE ? DISCLOSE_YES : DISCLOSE_NEVER;
	return true;
}

/*
 * Lets the authorizer decide. True if the request is allowed. False if the request waits,
 * or has been refused.
 */
static NOINLINE bool authorized(struct peer *p, const struct msg *m, enum action action,
				struct post *post)
{
	struct authorize_refusal r;

	switch (authorize_decide(p, m, action, (enum match)post->match, &r)) {
	case AUTHORIZE_DISCLOSED:
		/* a REGISTER or SUBSCRIBE has no receiver */
		if (action == ACTION_CALL || action == ACTION_PUBLISH)
			return judge_disclosure(p, m, DISCLOSURE_FORCE, post);
		/* fall through */
	case AUTHORIZE_ALLOWED:
		return judge_disclosure(p, m, DISCLOSURE_ALLOW, post);
	case AUTHORIZE_DENIED:
		deny_request(p, m, action, r.uri, r.text);
		return false;
	case AUTHORIZE_FAILED:
		not_decided(p, m, r.detail, r.text);
		return false;
	case AUTHORIZE_WAITS:
		return false;
	}
	return false;
}

bool judge_permits(struct peer *p, const struct msg *m, enum action action,
		   struct post *post)
{
	enum match how = (enum match)post->match;

	if (how == MATCH_EXACT ? !uri_valid(m->uri) : uri_fault(how, m->uri) != NULL) {
		refuse_bad_uri(p, m, how);
		return false;
	}
	if (reserved(action, how, m->uri)) {
		judge_refuse(
			p, m, WAMP_ERROR_INVALID_URI,
			action == ACTION_SUBSCRIBE
				? "there is no meta event with this topic"
				: "URIs whose first component is \"wamp\" are reserved");
		return false;
	}
	const struct rule *rule = rights_judge(p->rights, action, how, m->uri);
	post->trust = rule->trust;
	if (rule_allows(rule, action))
		return judge_disclosure(p, m, rule->disclose[action], post);
	/* a role with an authorizer has no permissions of its own */
	if (rights_authorizer(p->rights) != NULL)
		return authorized(p, m, action, post);
	deny_request(p, m, action, WAMP_ERROR_NOT_AUTHORIZED, slice_of(NULL, 0));
	return false;
}

bool judge_passthru_announced(struct peer *p, const struct msg *m)
{
	enum wamp_role role = m->type == WAMP_PUBLISH ? WAMP_ROLE_PUBLISHER
			      : m->type == WAMP_CALL  ? WAMP_ROLE_CALLER
						      : WAMP_ROLE_CALLEE;
	uint8_t features = p->identity->features.of[role];
	char text[120];

	if ((m->passthru & BIT(MSG_PPT_SCHEME)) == 0 ||
	    (features & WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE) != 0)
		return true;
	snprintf(text, sizeof(text),
		 "%s.%s.ppt_scheme: HELLO must announce payload_passthru_mode in role %s",
		 wamp_type_name(m->type), m->type == WAMP_ERROR ? "Details" : "Options",
		 role == WAMP_ROLE_PUBLISHER ? "publisher"
		 : role == WAMP_ROLE_CALLER  ? "caller"
					     : "callee");
	peer_violation(p, text);
	return false;
}
