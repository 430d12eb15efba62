/* SPDX-License-Identifier: Apache-2.0 */
/* authctl: sends a change and prints its effect; see ctl.h. Main thread. */
#include "authd/ctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>

static void print_count(const char *before, uint64_t n, const char *what)
{
	printf("%s%" PRIu64 " %s%s", before, n, what, n == 1 ? "" : "s");
}

/* Prints what has changed. routers is FIELD_NONE if the change ends no sessions. */
static void print_text(const struct ctl *ctl, const struct admin_change *res)
{
	if (res->changed)
		printf("%s %s", ctl->command->done, ctl->args[0]);
	else
		printf("%s %s", ctl->args[0], ctl->command->was_so);
	if (res->routers == 0 && res->unreachable == 0) {
		printf("; no router is connected");
	} else if (res->routers != FIELD_NONE) {
		print_count("; ended ", res->sessions, "session");
		print_count(" on ", res->routers, "router");
		if (res->pending > 0)
			print_count(", refused ", res->pending, "login");
		if (res->unreachable > 0)
			print_count(", no answer from ", res->unreachable, "router");
	}
	putchar('\n');
}

int ctl_change(struct ctl *ctl, const struct field_table *t, const void *params)
{
	struct admin_change res;
	struct buf result;

	buf_init(&result, AUTH_MAX_MESSAGE);
	int code = ctl_call(ctl, ctl->command->method, t, params, &result);
	if (code == EX_OK)
		code = ctl_read(ctl, &result, &admin_change_table, &res);
	if (code == EX_OK && ctl->format == CTL_JSON) {
		json_t *item = json_pack("{s:s}", "authid", ctl->args[0]);
		json_object_update_new(item, ctl_json(buf_slice(&result)));
		code = ctl_print_json(ctl, json_pack("[o]", item));
	} else if (code == EX_OK) {
		print_text(ctl, &res);
		code = ctl_flush(ctl);
	}
	buf_fini(&result);
	if (code == EX_OK && res.unreachable != FIELD_NONE && res.unreachable > 0)
		code = ctl_fail(ctl, EX_TEMPFAIL,
				"%s: not every router has confirmed that the sessions "
				"have ended; repeat the command",
				ctl->args[0]);
	return code;
}

int ctl_change_target(struct ctl *ctl, const uint8_t *key)
{
	struct admin_target t = {.authid = slice_str(ctl->args[0])};

	if (key != NULL)
		memcpy(t.keys.key[t.keys.n++], key, SSH_KEY_BYTES);
	return ctl_change(ctl, &admin_target_table, &t);
}

int principal_change(struct ctl *ctl)
{
	return ctl_change_target(ctl, NULL);
}
