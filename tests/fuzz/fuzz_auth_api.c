/* SPDX-License-Identifier: Apache-2.0 */
/* Gives any bytes to every reader of the routerd-authd and authctl-authd protocols. What
 * was read is written, and must then be read as the same. */
#include "common/err.h"
#include "proto/admin_api.h"
#include "tests/unit/auth_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

AGAIN(auth, proof, item)
AGAIN(admin, principal, item)
AGAIN(admin, list, params)
AGAIN(admin, list_result, item)
AGAIN(admin, target, params)
AGAIN(admin, change, item)

static again_fn *const all[] = {
	hello_again,          hello_result_again,
	request_again,        result_again,
	error_again,          revoke_again,
	revoke_result_again,  ping_result_again,
	opened_again,         closed_again,
	failed_again,         principal_again,
	authorize_again,      authorize_result_again,
	list_again,           list_result_again,
	target_again,         change_again,
	proof_again,          changed_again,
	changed_result_again,
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
	/* as in the programs: auth_check comes before every reader */
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
