/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists Crossbar's keys that routerd does not have. A key is accepted if routerd does
 * what the key asks for, or if the user does not need its effect. Any other key is an
 * error. Constant; any thread.
 */
#include "routerd/config/config_int.h"

#define ANY ""
/* A row with one key. */
#define KEY(where, key, accepted, instead)                                               \
	{                                                                                \
		where, {key}, accepted, instead                                          \
	}
#define RFC6455_DEMANDS "is not supported: RFC 6455 requires true"
#define RFC6455_ONLY    "is not supported: routerd supports only RFC 6455"

const struct conf_foreign config_foreign[] = {
	/* Keys of a node and of its router worker. */
	/* for editors */
	{"the file", {"$schema"}, ANY, ""},
	KEY("the file", "workers", NULL,
	    "are not supported: 'realms' and 'transports' of the worker of type router "
	    "belong at the top of the file; 'threads' sets the number of threads"),
	KEY("the file", "controller", NULL,
	    "is not supported: leave it out; 'node' sets the name that clients see"),
	KEY("the file", "type", NULL,
	    "is not needed: the file configures one router; leave it out"),
	KEY("the file", "id", NULL,
	    "is not supported: 'node' sets the name that clients see"),
	KEY("the file", "options", NULL,
	    "of a worker are not supported: leave them out; each transport has its own "
	    "options"),
	KEY("the file", "components", NULL,
	    "are not started by routerd: run them as clients"),
	{"the file", {"connections", "manhole"}, NULL, NULL},

	{"the realm", {"store", "rlinks"}, NULL, NULL},
	{"the realm's options", {"event_dispatching_chunk_size"}, ANY, NULL},
	KEY("the realm's options", "uri_check", NULL,
	    "is not supported: URIs are always checked by the loose rules; leave it out"),
	/* Permissions say who may use the meta API. */
	{"the realm's options", {"enable_meta_api"}, "true", NULL},
	{"the realm's options", {"bridge_meta_api"}, "false", NULL},
	KEY("the role", "allow-by-default", NULL,
	    "is not supported: a permission with uri: \"\" and match: prefix matches "
	    "everything"),
	/* Crossbar caches decisions of an authorizer; here permissions are compiled. */
	{"the permission", {"cache"}, ANY, NULL},
	{"the permission", {"validate"}, NULL, NULL},

	/* Crossbar compares a request's Host with the url; routerd does not. */
	{"the transport", {"url"}, ANY, NULL},
	{"the transport", {"debug"}, ANY, NULL},
	{"the transport", {"cookie", "web", "mqtt"}, NULL, NULL},
	{"the transport",
	 {"websocket", "rawsocket"},
	 NULL,
	 "is not needed: the keys beside 'type: universal' apply to both framings"},
	/* The backlog is the largest that the system allows, and all threads serve every
	 * port. */
	{"the endpoint", {"backlog"}, ANY, NULL},
	{"the endpoint", {"shared"}, ANY, NULL},
	KEY("the endpoint", "portrange", NULL, "is not supported: give one 'port'"),
	KEY("the endpoint", "user_timeout", NULL,
	    "is not supported: 'auto_ping_timeout' in 'options' finds dead connections"),
	/* ECDHE needs no parameters in a file. */
	{"tls", {"dhparam"}, ANY, NULL},

	/* No frame may be larger than the largest message. routerd neither masks nor
	 * fragments its frames. */
	{"options", {"max_frame_size"}, ANY, NULL},
	{"options", {"auto_fragment_size"}, ANY, NULL},
	{"options", {"auto_ping_size"}, ANY, NULL},
	/* A client that breaks the protocol gets a Close with a reason, and its
	 * connection is closed soon after. */
	{"options", {"fail_by_drop"}, ANY, NULL},
	{"options", {"echo_close_codereason"}, ANY, NULL},
	/* routerd does not compare the port in a request's Host, and has no status page
	 * but one line of text. */
	{"options", {"external_port"}, ANY, NULL},
	{"options", {"enable_webstatus"}, ANY, NULL},
	{"options", {"show_server_version", "enable_flash_policy"}, "false", NULL},
	{"options", {"flash_policy"}, NULL, NULL},
	KEY("options", "auto_ping_restart_on_any_traffic", "true",
	    "is not supported: any input always restarts the interval"),
	KEY("options", "enable_rfc6455", "true", RFC6455_ONLY),
	KEY("options", "enable_hybi10", "false", RFC6455_ONLY),
	{"options", {"validate_utf8", "apply_mask"}, "true", RFC6455_DEMANDS},
	KEY("options", "require_masked_client_frames", "true", RFC6455_DEMANDS),
	KEY("options", "mask_server_frames", "false",
	    "is not supported: RFC 6455 forbids it"),
	KEY("options", "tcp_nodelay", "true",
	    "is not supported: routerd always sets TCP_NODELAY"),
	KEY("options", "require_websocket_subprotocol", "true",
	    "is not supported: the subprotocol selects the serializer"),

	KEY("cryptosign", "authenticator-realm", NULL,
	    "is not supported: an authenticator is a process with a socket, not a "
	    "session in a realm; 'authenticator' names it"),
	{"cryptosign", {"trustroots"}, NULL, NULL},
	KEY("ticket", "authenticator-realm", NULL,
	    "is not supported: an authenticator is a process with a socket, not a "
	    "session in a realm; 'authenticator' names it"),
	KEY("wampcra", "authenticator-realm", NULL,
	    "is not supported: an authenticator is a process with a socket, not a "
	    "session in a realm; 'authenticator' names it"),
	KEY("scram", "authenticator-realm", NULL,
	    "is not supported: an authenticator is a process with a socket, not a "
	    "session in a realm; 'authenticator' names it"),
	KEY("anonymous", "authid", NULL,
	    "is not supported: each anonymous session gets its own authid"),
	KEY("the principal", "certificate-sha1", NULL,
	    "is not supported: 'certificate-sha256' takes a list of fingerprints, as "
	    "openssl x509 -noout -fingerprint -sha256 prints them"),
	{0},
};
_Static_assert(ARRAY_LEN(config_foreign) <= 64 + 1, "conf.h says at most 64 rows");
