/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of the messages that clients send; see msg_shape.h. Constants only; any
 * thread. */
#include "proto/msg_shape.h"

#include <stddef.h>

#define NAME(s)                                                                          \
	{                                                                                \
		(const uint8_t *)(s), sizeof(s) - 1                                      \
	}
#define OPTIONS(list)                                                                    \
	{                                                                                \
		list, ARRAY_LEN(list)                                                    \
	}

static const struct msg_option hello_details[] = {
	{NAME("roles"), OPTION_ROLES, 0},
	{NAME("authmethods"), OPTION_METHODS, 0},
	{NAME("authid"), OPTION_TEXT, offsetof(struct msg_hello, authid)},
	{NAME("authrole"), OPTION_TEXT, offsetof(struct msg_hello, authrole)},
	{NAME("authextra"), OPTION_EXTRA, 0},
	{NAME("agent"), OPTION_TEXT, offsetof(struct msg_hello, agent)},
};
#define ROLE(name, role)                                                                 \
	{                                                                                \
		NAME(name), OPTION_ROLE,                                                 \
			offsetof(struct msg_hello, features.of[WAMP_ROLE_##role])        \
	}
static const struct msg_option client_roles[] = {
	ROLE("publisher", PUBLISHER),
	ROLE("subscriber", SUBSCRIBER),
	ROLE("caller", CALLER),
	ROLE("callee", CALLEE),
};
const struct option_table msg_client_roles = OPTIONS(client_roles);
#define FEATURE(name, feature)                                                           \
	{                                                                                \
		NAME(name), OPTION_FEATURE, WAMP_FEATURE_##feature                       \
	}
/*
 * Some clients announce features in the role itself, and some spell "canceling" as
 * "cancelling".
 */
static const struct msg_option role_keys[] = {
	{NAME("features"), OPTION_FEATURES, 0},
	FEATURE("call_canceling", CALL_CANCELING),
	FEATURE("call_cancelling", CALL_CANCELING),
	FEATURE("call_reroute", CALL_REROUTE),
	FEATURE("payload_passthru_mode", PAYLOAD_PASSTHRU_MODE),
	FEATURE("payload_transparency", PAYLOAD_TRANSPARENCY),
	FEATURE("progressive_call_invocations", PROGRESSIVE_CALL_INVOCATIONS),
	FEATURE("registration_revocation", REGISTRATION_REVOCATION),
	FEATURE("subscription_revocation", SUBSCRIPTION_REVOCATION),
};
const struct option_table msg_role_keys = OPTIONS(role_keys);
/* The keys of the dict "features" itself: all but the first. */
const struct option_table msg_feature_keys = {role_keys + 1, ARRAY_LEN(role_keys) - 1};
static const struct msg_option authextra_keys[] = {
	{NAME("pubkey"), OPTION_HINT, offsetof(struct msg_hello, pubkey)},
	{NAME("channel_binding"), OPTION_BINDING,
	 offsetof(struct msg_hello, channel_binding)},
	{NAME("nonce"), OPTION_HINT, offsetof(struct msg_hello, nonce)},
	{NAME("challenge"), OPTION_HINT, offsetof(struct msg_hello, challenge)},
};
const struct option_table msg_authextra_keys = OPTIONS(authextra_keys);
static const struct msg_option closing_details[] = {
	{NAME("message"), OPTION_TEXT, offsetof(struct msg, text)},
};
/* The last in each list, since few messages have them. */
#define PASSTHRU_OPTION(id, name) {NAME(name), OPTION_PASSTHRU, MSG_##id},
static const struct msg_option publish_options[] = {
	{NAME("acknowledge"), OPTION_BOOL, offsetof(struct msg, acknowledge)},
	{NAME("exclude_me"), OPTION_BOOL, offsetof(struct msg, exclude_me)},
	{NAME("disclose_me"), OPTION_BOOL, offsetof(struct msg, disclose)},
	{NAME("retain"), OPTION_BOOL, offsetof(struct msg, retain)},
#define X(id, name) {NAME(name), OPTION_FILTER, MSG_##id},
	MSG_FILTERS(X)
#undef X
		MSG_PASSTHRU(PASSTHRU_OPTION)};
static const struct msg_option subscribe_options[] = {
	{NAME("match"), OPTION_TEXT, offsetof(struct msg, match)},
	{NAME("get_retained"), OPTION_BOOL, offsetof(struct msg, retain)},
};
static const struct msg_option register_options[] = {
	{NAME("match"), OPTION_TEXT, offsetof(struct msg, match)},
	{NAME("invoke"), OPTION_TEXT, offsetof(struct msg, invoke)},
	{NAME("disclose_caller"), OPTION_BOOL, offsetof(struct msg, disclose)},
	{NAME("concurrency"), OPTION_NUMBER, offsetof(struct msg, concurrency)},
	{NAME("force_reregister"), OPTION_BOOL, offsetof(struct msg, force)},
};
static const struct msg_option call_options[] = {
	{NAME("disclose_me"), OPTION_BOOL, offsetof(struct msg, disclose)},
	{NAME("progress"), OPTION_BOOL, offsetof(struct msg, progress)},
	{NAME("receive_progress"), OPTION_BOOL, offsetof(struct msg, receive_progress)},
	{NAME("timeout"), OPTION_NUMBER, offsetof(struct msg, timeout)},
	MSG_PASSTHRU(PASSTHRU_OPTION)};
static const struct msg_option cancel_options[] = {
	{NAME("mode"), OPTION_HINT, offsetof(struct msg, text)},
};
static const struct msg_option yield_options[] = {
	{NAME("progress"), OPTION_BOOL, offsetof(struct msg, progress)},
	MSG_PASSTHRU(PASSTHRU_OPTION)};
static const struct msg_option error_details[] = {MSG_PASSTHRU(PASSTHRU_OPTION)};

#define KW MSG_ARGUMENTS_KW

const struct msg_shape msg_shapes[] = {
	[WAMP_HELLO] = {OPTIONS(hello_details),
			{ELEMENT_REALM, ELEMENT_OPTIONS},
			{"Realm", "Details"}},
	[WAMP_ABORT] = {OPTIONS(closing_details),
			{ELEMENT_OPTIONS, ELEMENT_URI, ELEMENT_PAYLOAD},
			{"Details", "Reason", KW}},
	[WAMP_AUTHENTICATE] = {{NULL, 0},
			       {ELEMENT_TEXT, ELEMENT_EXTRA},
			       {"Signature", "Extra"}},
	[WAMP_GOODBYE] = {OPTIONS(closing_details),
			  {ELEMENT_OPTIONS, ELEMENT_URI},
			  {"Details", "Reason"}},
	[WAMP_ERROR] = {OPTIONS(error_details),
			{ELEMENT_ERROR_TYPE, ELEMENT_REQUEST, ELEMENT_OPTIONS,
			 ELEMENT_URI, ELEMENT_PAYLOAD},
			{"REQUEST.Type", "REQUEST.Request", "Details", "Error", KW}},
	[WAMP_PUBLISH] = {OPTIONS(publish_options),
			  {ELEMENT_REQUEST, ELEMENT_OPTIONS, ELEMENT_URI,
			   ELEMENT_PAYLOAD},
			  {"Request", "Options", "Topic", KW}},
	[WAMP_SUBSCRIBE] = {OPTIONS(subscribe_options),
			    {ELEMENT_REQUEST, ELEMENT_OPTIONS, ELEMENT_URI},
			    {"Request", "Options", "Topic"}},
	/* Autobahn sends options with this message and UNREGISTER. */
	[WAMP_UNSUBSCRIBE] = {{NULL, 0},
			      {ELEMENT_REQUEST, ELEMENT_ID, ELEMENT_MAYBE_OPTIONS},
			      {"Request", "SUBSCRIBED.Subscription", "Options"}},
	[WAMP_CALL] = {OPTIONS(call_options),
		       {ELEMENT_REQUEST, ELEMENT_OPTIONS, ELEMENT_URI, ELEMENT_PAYLOAD},
		       {"Request", "Options", "Procedure", KW}},
	[WAMP_CANCEL] = {OPTIONS(cancel_options),
			 {ELEMENT_REQUEST, ELEMENT_OPTIONS},
			 {"CALL.Request", "Options"}},
	[WAMP_REGISTER] = {OPTIONS(register_options),
			   {ELEMENT_REQUEST, ELEMENT_OPTIONS, ELEMENT_URI},
			   {"Request", "Options", "Procedure"}},
	[WAMP_UNREGISTER] = {{NULL, 0},
			     {ELEMENT_REQUEST, ELEMENT_ID, ELEMENT_MAYBE_OPTIONS},
			     {"Request", "REGISTERED.Registration", "Options"}},
	[WAMP_YIELD] = {OPTIONS(yield_options),
			{ELEMENT_REQUEST, ELEMENT_OPTIONS, ELEMENT_PAYLOAD},
			{"INVOCATION.Request", "Options", KW}},
};
