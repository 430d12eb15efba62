/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every reader of the routerd-authd and authctl-authd protocols on any bytes; what was
 * read is written, and must be read as the same again.
 */
#include "common/err.h"
#include "proto/admin_api.h"
#include "proto/auth_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union any {
	struct auth_hello hello;
	struct auth_hello_result hello_result;
	struct auth_request request;
	struct auth_result result;
	struct auth_error error;
	struct auth_revoke revoke;
	struct auth_revoke_result revoke_result;
	struct auth_ping_result ping_result;
	struct auth_opened opened;
	struct auth_closed closed;
	struct auth_failed failed;
	struct admin_principal principal;
	struct admin_list list;
	struct admin_list_result list_result;
	struct admin_target target;
	struct admin_change change;
};

/* Reads in, and appends what was read. By its table; form: params or item. */
#define BY_TABLE(api, name, form)                                                        \
	static int name##_again(struct slice in, struct buf *out)                        \
	{                                                                                \
		union any v;                                                             \
		int e = fields_read_##form(in, &api##_##name##_table, &v.name);          \
		if (e == 0)                                                              \
			fields_write_##form(out, &api##_##name##_table, &v.name);        \
		return e;                                                                \
	}
BY_TABLE(auth, hello, params)
BY_TABLE(auth, hello_result, item)
BY_TABLE(auth, revoke_result, item)
BY_TABLE(auth, ping_result, item)
BY_TABLE(auth, opened, params)
BY_TABLE(auth, closed, params)
BY_TABLE(auth, failed, params)
BY_TABLE(admin, principal, item)
BY_TABLE(admin, list, params)
BY_TABLE(admin, list_result, item)
BY_TABLE(admin, target, params)
BY_TABLE(admin, change, item)

static int result_again(struct slice in, struct buf *out)
{
	struct auth_result res;
	int e = auth_result_read(in, &res);

	if (e == 0)
		fields_write_item(out, &auth_result_table, &res);
	return e;
}

static int revoke_again(struct slice in, struct buf *out)
{
	struct auth_revoke v;
	int e = auth_revoke_read(in, &v);

	if (e == 0)
		fields_write_params(out, &auth_revoke_table, &v);
	return e;
}

static int request_again(struct slice in, struct buf *out)
{
	struct auth_request q;
	int e = auth_request_read(in, &q);

	return e != 0 ? e : auth_request_write(out, &q, AUTH_MAX_MESSAGE);
}

static int error_again(struct slice in, struct buf *out)
{
	struct auth_error e;

	auth_error_read(in, &e);
	fields_write_item(out, &auth_error_table, &e);
	return 0;
}

static int (*const all[])(struct slice in, struct buf *out) = {
	hello_again,  hello_result_again, request_again,       result_again,
	error_again,  revoke_again,       revoke_result_again, ping_result_again,
	opened_again, closed_again,       failed_again,        principal_again,
	list_again,   list_result_again,  target_again,        change_again,
};

static void walk_list(struct slice in)
{
	struct admin_list_result res;
	struct admin_principal p;
	struct token_reader r;

	if (fields_read_item(in, &admin_list_result_table, &res) != 0 ||
	    admin_list_begin(&r, res.items) != 0)
		return;
	while (admin_list_next(&r, &p) == 0)
		ASSERT(p.authid.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct buf out, again;
	size_t len;

	if (size > AUTH_MAX_MESSAGE)
		return 0;
	/* as in the programs: nothing is read that the check has not let through */
	if (auth_check(in, &len) != 0)
		return 0;
	in.len = len;
	buf_init(&out, 4 * AUTH_MAX_MESSAGE);
	buf_init(&again, 4 * AUTH_MAX_MESSAGE);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		buf_clear(&out);
		buf_clear(&again);
		if (all[i](in, &out) != 0)
			continue;
		ASSERT(out.err == 0);
		int e = all[i](buf_slice(&out), &again);
		ASSERT(e == 0 && slice_eq(buf_slice(&out), buf_slice(&again)));
	}
	walk_list(in);
	buf_fini(&out);
	buf_fini(&again);
	return 0;
}
