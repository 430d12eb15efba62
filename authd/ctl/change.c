/* SPDX-License-Identifier: Apache-2.0 */
/* authctl: changes; see change.h. */
#include "authd/ctl/change.h"

#include "common/err.h"

#include <inttypes.h>
#include <stdio.h>

int ctl_authid_arg(struct ctl *ctl, int argc, char **argv, const char **authid_out)
{
	static const char *const names[] = {"AUTHID"};

	if (ctl_option(ctl, argc, argv, NULL) != -1)
		return EX_USAGE;
	int code = ctl_want_args(ctl, argc, argv, 1, names);
	if (code != EX_OK)
		return code;
	*authid_out = argv[optind];
	return ctl_check_sought(ctl, "authid", slice_str(argv[optind]));
}

int ctl_authid_call(struct ctl *ctl, int argc, char **argv, const char *method,
		    struct buf *result)
{
	struct admin_target t = {.authid = {NULL, 0}};
	const char *authid = NULL;
	struct buf params;

	int code = ctl_authid_arg(ctl, argc, argv, &authid);
	if (code != EX_OK)
		return code;
	t.authid = slice_str(authid);
	buf_init(&params, AUTH_MAX_MESSAGE);
	admin_target_write(&params, &t);
	code = ctl_call(ctl, method, authid, &params, result);
	buf_fini(&params);
	return code;
}

static void print_count(const char *before, uint64_t n, const char *what)
{
	printf("%s%" PRIu64 " %s%s", before, n, what, n == 1 ? "" : "s");
}

static void print_text(const struct ctl_change *c, const struct admin_change *res)
{
	if (res->changed)
		printf("%s %s", c->done, c->authid);
	else
		printf("%s %s", c->authid, c->was_so);
	if (c->revokes && res->routers + res->unreachable == 0) {
		printf("; no router is connected");
	} else if (c->revokes) {
		print_count("; ended ", res->sessions, "session");
		print_count(" on ", res->routers, "router");
		if (res->pending > 0)
			print_count(", refused ", res->pending, "login");
		if (res->unreachable > 0)
			print_count(", without an answer from ", res->unreachable,
				    "router");
	}
	putchar('\n');
}

static int print_json(const struct ctl *ctl, const struct ctl_change *c,
		      const struct admin_change *res)
{
	json_t *item =
		json_pack("{s:s,s:b}", "authid", c->authid, "changed", res->changed);
	const struct {
		const char *name;
		uint64_t n;
	} counts[] = {
		{"sessions", res->sessions},
		{"pending", res->pending},
		{"routers", res->routers},
		{"unreachable", res->unreachable},
	};

	for (size_t i = 0; c->revokes && i < ARRAY_LEN(counts); i++)
		json_object_set_new(item, counts[i].name,
				    json_integer((json_int_t)counts[i].n));
	return ctl_json_print(ctl, json_pack("[o]", item));
}

int ctl_change(struct ctl *ctl, const struct ctl_change *c)
{
	struct admin_change res;
	struct buf result;

	buf_init(&result, AUTH_MAX_MESSAGE);
	int code = ctl_call(ctl, c->method, c->authid, c->params, &result);
	if (code == EX_OK && admin_change_read(buf_slice(&result), &res) != 0)
		code = ctl_fail(ctl, EX_SOFTWARE, NULL, "authd's answer is malformed");
	buf_fini(&result);
	if (code != EX_OK)
		return code;
	if (ctl->format == CTL_JSON) {
		code = print_json(ctl, c, &res);
	} else {
		print_text(c, &res);
		code = ctl_flush(ctl);
	}
	if (code == EX_OK && res.unreachable > 0)
		code = ctl_fail(ctl, EX_TEMPFAIL, NULL,
				"%s: not every router has confirmed that its sessions "
				"are ended; give the command again",
				c->authid);
	return code;
}
