/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack-RPC messages; see rpc_msg.h. The four headers that a message begins with
 * are read here by hand; check looks at everything that they lead to.
 */
#include "common/rpc_msg.h"

#include "common/err.h"

#include <msgpack.h>

enum {
	MP_NIL = 0xc0,
	MP_FIXARRAY = 0x90,
	MP_ARRAY16 = 0xdc,
	MP_ARRAY32 = 0xdd,
	MP_UINT8 = 0xcc,
	MP_FIXSTR = 0xa0,
	MP_STR8 = 0xd9,
};

struct reader {
	const uint8_t *pos, *end;
};

/* n bytes as a big-endian number */
static int read_number(struct reader *r, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if ((size_t)(r->end - r->pos) < n)
		return E_TRUNCATED;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | *r->pos++;
	*out = v;
	return 0;
}

static int read_array(struct reader *r, uint64_t *count_out)
{
	uint64_t head;

	if (read_number(r, 1, &head) != 0)
		return E_TRUNCATED;
	if ((head & 0xf0) == MP_FIXARRAY) {
		*count_out = head & 0x0f;
		return 0;
	}
	if (head != MP_ARRAY16 && head != MP_ARRAY32)
		return E_TYPE;
	return read_number(r, head == MP_ARRAY16 ? 2 : 4, count_out);
}

static int read_uint(struct reader *r, uint64_t *out)
{
	uint64_t head;

	if (read_number(r, 1, &head) != 0)
		return E_TRUNCATED;
	if (head < 0x80) {
		*out = head;
		return 0;
	}
	if (head < MP_UINT8 || head > MP_UINT8 + 3)
		return E_TYPE;
	return read_number(r, (size_t)1 << (head - MP_UINT8), out);
}

/* The characters of a string, which check has to look at, too: it knows UTF-8. */
static int read_str(struct reader *r, rpc_check_fn *check, struct slice *out)
{
	struct slice rest = slice_of(r->pos, (size_t)(r->end - r->pos));
	uint64_t head, len;
	size_t whole;

	if (read_number(r, 1, &head) != 0)
		return E_TRUNCATED;
	bool fix = (head & 0xe0) == MP_FIXSTR;
	if (!fix && (head < MP_STR8 || head > MP_STR8 + 2))
		return E_TYPE;
	if (fix)
		len = head & 0x1f;
	else if (read_number(r, (size_t)1 << (head - MP_STR8), &len) != 0)
		return E_TRUNCATED;
	int e = check(rest, &whole);
	if (e != 0)
		return e;
	if (whole > rest.len || len > whole)
		return E_SYNTAX; /* a check that contradicts itself */
	*out = slice_of(rest.p + whole - len, len);
	r->pos = rest.p + whole;
	return 0;
}

static int read_item(struct reader *r, rpc_check_fn *check, struct slice *out)
{
	struct slice rest = slice_of(r->pos, (size_t)(r->end - r->pos));
	size_t len;

	if (rest.len == 0)
		return E_TRUNCATED;
	int e = check(rest, &len);
	if (e != 0)
		return e;
	*out = slice_of(rest.p, len);
	r->pos += len;
	return 0;
}

static int read_params(struct reader *r, rpc_check_fn *check, struct slice *out)
{
	int e = read_item(r, check, out);

	if (e != 0)
		return e;
	uint8_t head = out->p[0];
	bool array =
		(head & 0xf0) == MP_FIXARRAY || head == MP_ARRAY16 || head == MP_ARRAY32;
	return array ? 0 : E_TYPE;
}

static int read_response(struct reader *r, rpc_check_fn *check, struct rpc_msg *m)
{
	int e = read_item(r, check, &m->error);

	if (e == 0)
		e = read_item(r, check, &m->result);
	if (e == 0 && m->error.p[0] == MP_NIL)
		m->error = slice_of(NULL, 0);
	return e;
}

static int read_body(struct reader *r, rpc_check_fn *check, struct rpc_msg *m)
{
	if (m->type == RPC_RESPONSE)
		return read_response(r, check, m);
	int e = read_str(r, check, &m->method);
	return e != 0 ? e : read_params(r, check, &m->params);
}

/* Type and id. */
static int read_head(struct reader *r, struct rpc_msg *m)
{
	uint64_t count, type, id = 0;

	int e = read_array(r, &count);
	if (e != 0)
		return e;
	if (count != 3 && count != 4)
		return E_TYPE;
	e = read_uint(r, &type);
	if (e != 0)
		return e;
	if (type > RPC_NOTIFICATION || count != (type == RPC_NOTIFICATION ? 3 : 4))
		return E_TYPE;
	m->type = (enum rpc_type)type;
	if (m->type != RPC_NOTIFICATION)
		e = read_uint(r, &id);
	if (e != 0)
		return e;
	if (id > UINT32_MAX)
		return E_RANGE;
	m->id = (uint32_t)id;
	return 0;
}

int rpc_msg_peek(struct slice in, struct rpc_msg *out)
{
	struct reader r = {.pos = in.p, .end = in.p + in.len};
	struct rpc_msg m = {.id = 0};
	int e = read_head(&r, &m);

	if (e == 0)
		*out = m;
	return e;
}

int rpc_msg_read(struct slice in, rpc_check_fn *check, struct rpc_msg *out,
		 size_t *len_out)
{
	struct reader r = {.pos = in.p, .end = in.p + in.len};
	struct rpc_msg m = {.id = 0};

	int e = read_head(&r, &m);
	if (e == 0)
		e = read_body(&r, check, &m);
	if (e != 0)
		return e;
	*out = m;
	*len_out = (size_t)(r.pos - in.p);
	return 0;
}

static int pack_to_buf(void *data, const char *bytes, size_t len)
{
	struct buf *b = data;

	buf_put(b, bytes, len);
	return b->err == 0 ? 0 : -1;
}

static void put_item(struct buf *out, struct slice item)
{
	if (item.len == 0)
		buf_put_u8(out, MP_NIL);
	else
		buf_put_slice(out, item);
}

void rpc_msg_write(struct buf *out, const struct rpc_msg *m)
{
	msgpack_packer pk;

	/* the packer's own result is the buffer's sticky error */
	msgpack_packer_init(&pk, out, pack_to_buf);
	msgpack_pack_array(&pk, m->type == RPC_NOTIFICATION ? 3 : 4);
	msgpack_pack_uint8(&pk, (uint8_t)m->type);
	if (m->type != RPC_NOTIFICATION)
		msgpack_pack_uint32(&pk, m->id);
	if (m->type == RPC_RESPONSE) {
		put_item(out, m->error);
		put_item(out, m->result);
		return;
	}
	msgpack_pack_str_with_body(&pk, m->method.p, m->method.len);
	put_item(out, m->params);
}
