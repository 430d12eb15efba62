/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authctl: sends requests to authd and maps its errors to exit codes; see ctl.h. Main
 * thread.
 */
#include "authd/ctl/ctl.h"

#include "common/err.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "common/sock.h"

#include <errno.h>
#include <inttypes.h>

static const struct rpc_limits limits = {
	.max_message = AUTH_MAX_MESSAGE,
	.max_out = 2 * AUTH_MAX_MESSAGE,
	.max_calls = 1,
	.max_requests = 0, /* authd sends no requests */
};

struct admin_call {
	const struct ctl *ctl;
	struct loop *loop;
	struct buf *result;
	int code; /* NOT_YET, or an exit code */
};

enum { NOT_YET = -1 };

static int code_of(const struct auth_error *error)
{
	static const struct {
		const char *uri;
		int code;
	} codes[] = {
		{ADMIN_ERROR_NO_SUCH_PRINCIPAL, EX_NOUSER},
		{ADMIN_ERROR_NO_SUCH_KEY, EX_NOUSER},
		{ADMIN_ERROR_CONFLICT, EX_DATAERR},
		{ADMIN_ERROR_BUSY, EX_TEMPFAIL},
		{ADMIN_ERROR_CANNOT_WRITE, EX_IOERR},
		{AUTH_ERROR_INVALID_ARGUMENT, EX_DATAERR},
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (slice_eq_str(error->uri, codes[i].uri))
			return codes[i].code;
	return error->kind == AUTH_ERROR_TEMPORARY ? EX_TEMPFAIL : EX_SOFTWARE;
}

/* What the request is about, for messages: the first argument, or else the verb. */
static const char *object(const struct ctl *ctl)
{
	return ctl->args[0] != NULL ? ctl->args[0] : ctl->command->verb;
}

/* Reports that the request cannot be sent. */
static int fail_before(const struct ctl *ctl, int err)
{
	if (err == E_NOMEM)
		return ctl_nomem(ctl);
	return ctl_fail(ctl, EX_DATAERR, "%s: %s", object(ctl), err_str(err));
}

/* Reports the error in authd's answer. */
static int fail_with(const struct admin_call *call, struct slice error)
{
	struct auth_error refusal;
	char uri[AUTH_MAX_NAME + 1] = "";

	auth_error_read(error, &refusal);
	int code = code_of(&refusal);
	memcpy(uri, refusal.uri.p == NULL ? (const uint8_t *)"" : refusal.uri.p,
	       min_size(refusal.uri.len, AUTH_MAX_NAME));
	struct slice text = refusal.message.len > 0 ? refusal.message : refusal.detail;
	return ctl_fail_uri(call->ctl, code, uri[0] != '\0' ? uri : NULL, "%s: %.*s",
			    object(call->ctl), (int)text.len,
			    text.len > 0 ? (const char *)text.p : "");
}

int ctl_bad_answer(const struct ctl *ctl, int err)
{
	return ctl_fail(ctl, EX_SOFTWARE,
			"authd's answer cannot be read (%s): do authctl and authd have "
			"the same version?",
			err_str(err));
}

static void on_authd_answer(const struct rpc_answer *a, void *arg)
{
	struct admin_call *call = arg;

	switch (a->outcome) {
	case RPC_OK:
		buf_put_slice(call->result, a->result);
		call->code = call->result->err == 0 ? EX_OK : ctl_nomem(call->ctl);
		break;
	case RPC_ERROR:
		call->code = fail_with(call, a->error);
		break;
	case RPC_TIMEOUT:
		call->code = ctl_fail(call->ctl, EX_TEMPFAIL,
				      "authd did not answer within %" PRIu64 " ms%s",
				      call->ctl->timeout_ms,
				      call->ctl->command->method != NULL
					      ? "; a change may have been made"
					      : "");
		break;
	case RPC_INVALID:
		call->code = ctl_bad_answer(call->ctl, a->err);
		break;
	case RPC_CLOSED:
		/* on_authd_closed reports why. */
		return;
	}
	loop_stop(call->loop);
}

static void on_authd_closed(int err, void *arg)
{
	struct admin_call *call = arg;

	if (call->code != NOT_YET)
		return;
	if (err == E_CLOSED || err == E_SYS)
		/* authd also closes the connection of a user who is not allowed. */
		call->code = ctl_fail(call->ctl, EX_NOPERM,
				      "authd closed the connection: this user may not "
				      "use %s, too many connections are open, or "
				      "authd is stopping; its log says which",
				      call->ctl->socket);
	else
		call->code = ctl_bad_answer(call->ctl, err);
	loop_stop(call->loop);
}

static const struct rpc_handlers handlers = {
	.read = auth_msg_read,
	.closed = on_authd_closed,
};

static int connect_to(const struct ctl *ctl, int *fd_out)
{
	*fd_out = -1;
	int err = sock_connect_unix(fd_out, ctl->socket);
	if (err == 0)
		return EX_OK;
	sock_close(fd_out);
	if (err == E_SYS && (errno == EACCES || errno == EPERM))
		return ctl_fail(ctl, EX_NOPERM, "%s: %s", ctl->socket, err_str(err));
	if (err == E_AGAIN)
		return ctl_fail(ctl, EX_TEMPFAIL, "%s: authd is busy", ctl->socket);
	return ctl_fail(ctl, EX_UNAVAILABLE, "%s: %s; is authd running?", ctl->socket,
			err_str(err));
}

/* Sends a request, and waits until it is answered or no answer can come any more. */
static int ask_authd(struct admin_call *call, int fd, const char *method,
		     struct slice params)
{
	const struct rpc_call c = {
		.method = method,
		.params = params,
		.timeout_ms = call->ctl->timeout_ms,
		.cb = on_authd_answer,
		.arg = call,
	};
	struct rpc_conn *conn = NULL;

	call->loop = loop_new(NULL, NULL);
	if (call->loop == NULL)
		sock_close(&fd);
	else
		conn = rpc_conn_new(call->loop, fd, &handlers, &limits, call);
	int err = conn == NULL ? E_NOMEM : rpc_call(conn, &c, NULL);
	if (err == 0)
		loop_run(call->loop);
	else
		call->code = fail_before(call->ctl, err);
	rpc_conn_free(&conn);
	loop_free(&call->loop);
	return call->code;
}

int ctl_call(struct ctl *ctl, const char *method, const struct field_table *t,
	     const void *params, struct buf *result)
{
	struct admin_call call = {.ctl = ctl, .result = result, .code = NOT_YET};
	struct buf encoded;
	size_t len;
	int code, fd;

	buf_init(&encoded, AUTH_MAX_MESSAGE);
	fields_write_params(&encoded, t, params);
	/* Check the limits here: for an invalid message authd would only close the
	 * connection. */
	int err = encoded.err != 0 ? encoded.err : auth_check(buf_slice(&encoded), &len);
	if (err != 0)
		code = fail_before(ctl, err);
	else
		code = connect_to(ctl, &fd);
	if (code == EX_OK)
		code = ask_authd(&call, fd, method, buf_slice(&encoded));
	buf_fini(&encoded);
	return code;
}

int ctl_read(const struct ctl *ctl, const struct buf *result, const struct field_table *t,
	     void *out)
{
	int err = fields_read_item(buf_slice(result), t, out);

	return err == 0 ? EX_OK : ctl_bad_answer(ctl, err);
}

int ctl_show(struct ctl *ctl, struct buf *result, struct admin_principal *out)
{
	const struct admin_target t = {.authid = slice_str(ctl->args[0])};
	int code = ctl_call(ctl, ADMIN_PRINCIPAL_SHOW, &admin_target_table, &t, result);

	return code != EX_OK ? code : ctl_read(ctl, result, &admin_principal_table, out);
}
