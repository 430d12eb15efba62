/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that read one struct of proto/auth_api and write it again, for its unit tests
 * and its fuzz target. They return the reader's or writer's error. One thread. */
#ifndef TESTS_UNIT_AUTH_AGAIN_H
#define TESTS_UNIT_AUTH_AGAIN_H

#include "proto/auth_api.h"

typedef int again_fn(struct slice in, struct buf *out);

/* NAME_again for struct API_NAME, by its table. form: params or item. */
#define AGAIN(api, name, form)                                                           \
	static int name##_again(struct slice in, struct buf *out)                        \
	{                                                                                \
		struct api##_##name v;                                                   \
		int e = fields_read_##form(in, &api##_##name##_table, &v);               \
		if (e == 0)                                                              \
			fields_write_##form(out, &api##_##name##_table, &v);             \
		return e;                                                                \
	}
AGAIN(auth, hello, params)
AGAIN(auth, hello_result, item)
AGAIN(auth, revoke_result, item)
AGAIN(auth, changed, params)
AGAIN(auth, changed_result, item)
AGAIN(auth, ping_result, item)
AGAIN(auth, opened, params)
AGAIN(auth, closed, params)
AGAIN(auth, failed, params)

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

static int authorize_again(struct slice in, struct buf *out)
{
	struct auth_authorize q;
	int err = auth_authorize_read(in, &q);

	return err != 0 ? err : auth_authorize_write(out, &q, AUTH_MAX_MESSAGE);
}

static int authorize_result_again(struct slice in, struct buf *out)
{
	struct auth_authorize_result res;
	int err = auth_authorize_result_read(in, &res);

	if (err == 0)
		fields_write_item(out, &auth_authorize_result_table, &res);
	return err;
}

/* Never fails: auth_error_read turns malformed input into an internal error. */
static int error_again(struct slice in, struct buf *out)
{
	struct auth_error err;

	auth_error_read(in, &err);
	fields_write_item(out, &auth_error_table, &err);
	return 0;
}

#endif
