/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crossbar's keys that we do not have. They are accepted where what we do anyway is what
 * they ask for, and refused where a user would miss something. Constant; any thread.
 */
#include "routerd/config/config_int.h"

#define ANY ""
/* A row of one key. */
#define KEY(where, key, accepted, instead)                                               \
	{                                                                                \
		where, {key}, accepted, instead                                          \
	}
#define RFC6455_DEMANDS "is not supported: RFC 6455 demands it"
#define RFC6455_ONLY    "is not supported: RFC 6455 is the WebSocket that is spoken"

const struct conf_foreign config_foreign[] = {
	/* a node, and its router worker */
	{"the file", {"$schema"}, ANY, NULL},
	KEY("the file", "workers", NULL,
	    "are not supported: 'realms' and 'transports' of the worker of type router "
	    "belong at the top of the file; 'threads' says how many serve them"),
	KEY("the file", "controller", NULL,
	    "has no counterpart: leave it out; 'node' is the name that clients see"),
	KEY("the file", "type", NULL, "is not needed: all is one router; leave it out"),
	KEY("the file", "id", NULL, "is not needed: 'node' is the name that clients see"),
	KEY("the file", "options", NULL,
	    "of a worker are not supported: leave them out; a transport has options of "
	    "its own"),
	KEY("the file", "components", NULL,
	    "are not started by routerd: run them as clients"),
	{"the file", {"connections", "manhole"}, NULL, NULL},

	{"the realm", {"store", "rlinks"}, NULL, NULL},
	{"the realm's options", {"event_dispatching_chunk_size"}, ANY, NULL},
	KEY("the realm's options", "uri_check", NULL,
	    "is not supported: URIs are checked by the loose rule; leave it out"),
	{"the realm's options", {"enable_meta_api", "bridge_meta_api"}, "false", NULL},
	KEY("the role", "authorizer", NULL,
	    "is not supported yet: list 'permissions' instead"),
	KEY("the role", "allow-by-default", NULL,
	    "is not supported: a permission with uri: \"\" and match: prefix speaks of "
	    "everything"),
	/* Crossbar keeps its decisions; here they are compiled */
	{"the permission", {"cache"}, ANY, NULL},
	{"the permission", {"validate"}, NULL, NULL},
	{"disclose", {"caller", "publisher"}, "false", NULL},

	/* Crossbar takes from url what to compare a request's Host with */
	{"the transport", {"url", "debug"}, ANY, NULL},
	{"the transport", {"cookie", "web", "mqtt"}, NULL, NULL},
	{"the transport",
	 {"websocket", "rawsocket"},
	 NULL,
	 "is not needed: the keys beside 'type: universal' are for both framings"},
	/* as many as the system allows; all threads serve every port */
	{"the endpoint", {"backlog", "shared"}, ANY, NULL},
	KEY("the endpoint", "portrange", NULL, "is not supported: say which 'port'"),
	KEY("the endpoint", "user_timeout", NULL,
	    "is not supported: 'auto_ping_timeout' in 'options' finds dead connections"),
	KEY("the endpoint", "tls", NULL,
	    "is not supported yet: let a proxy in front of routerd speak TLS"),

	/* No frame is larger than the largest message. What we send is not masked, and in
	 * one frame whatever its size. */
	{"options", {"max_frame_size", "auto_fragment_size"}, ANY, NULL},
	{"options", {"auto_ping_size"}, ANY, NULL},
	/* a client that breaks the protocol learns why, and is gone soon after */
	{"options", {"fail_by_drop", "echo_close_codereason"}, ANY, NULL},
	/* the port in a request's Host is not compared with ours */
	{"options", {"external_port", "enable_webstatus"}, ANY, NULL},
	{"options", {"show_server_version", "enable_flash_policy"}, "false", NULL},
	{"options", {"compression", "flash_policy"}, NULL, NULL},
	KEY("options", "auto_ping_restart_on_any_traffic", "true",
	    "is not supported: whatever is received counts as life"),
	KEY("options", "enable_rfc6455", "true", RFC6455_ONLY),
	KEY("options", "enable_hybi10", "false", RFC6455_ONLY),
	{"options", {"validate_utf8", "apply_mask"}, "true", RFC6455_DEMANDS},
	KEY("options", "require_masked_client_frames", "true", RFC6455_DEMANDS),
	KEY("options", "mask_server_frames", "false",
	    "is not supported: RFC 6455 forbids it"),
	KEY("options", "tcp_nodelay", "true",
	    "is not supported: messages are sent together already, and without delay"),
	KEY("options", "require_websocket_subprotocol", "true",
	    "is not supported: the subprotocol says which serializer is spoken"),

	KEY("cryptosign", "authenticator-realm", NULL,
	    "has no counterpart: an authenticator is a process with a socket, not a "
	    "session in a realm"),
	KEY("cryptosign", "principals", NULL,
	    "are not kept here: give them to authd, by authctl principal add"),
	{"cryptosign", {"trustroots"}, NULL, NULL},
	KEY("anonymous", "authid", NULL,
	    "is not supported: each anonymous session gets an authid of its own"),
	{"auth", {"ticket", "wampcra", "scram", "tls", "cookie"}, NULL, NULL},
	{0},
};
