/* SPDX-License-Identifier: Apache-2.0 */
/* The authctl-authd protocol; see admin_api.h. */
#include "proto/admin_api.h"

#include "common/err.h"
#include "common/utf8.h"
#include "proto/uri.h"

/* --- names -------------------------------------------------------------------------- */

size_t admin_control_len(struct slice s)
{
	static const struct {
		uint8_t len, first[2], lo, hi; /* the last byte is in lo to hi */
	} ranges[] = {
		{1, {0}, 0x00, 0x1f},          /* C0 */
		{1, {0}, 0x7f, 0x7f},          /* DEL */
		{2, {0xc2}, 0x80, 0x9f},       /* C1 */
		{2, {0xd8}, 0x9c, 0x9c},       /* U+061C */
		{3, {0xe2, 0x80}, 0x8e, 0x8f}, /* U+200E, U+200F */
		{3, {0xe2, 0x80}, 0xa8, 0xae}, /* U+2028 to U+202E */
		{3, {0xe2, 0x81}, 0xa6, 0xa9}, /* U+2066 to U+2069 */
		{3, {0xef, 0xbb}, 0xbf, 0xbf}, /* U+FEFF */
	};

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		size_t n = ranges[i].len;
		if (s.len >= n && memcmp(s.p, ranges[i].first, n - 1) == 0 &&
		    s.p[n - 1] >= ranges[i].lo && s.p[n - 1] <= ranges[i].hi)
			return n;
	}
	return 0;
}

const char *admin_name_fault(struct slice name)
{
	if (name.len == 0)
		return "must not be empty";
	if (name.len > FIELD_DEFAULT_MAX)
		return "must have at most 255 bytes";
	if (!utf8_valid(name))
		return "must be UTF-8";
	/* a byte that continues a character begins none of those */
	for (size_t i = 0; i < name.len; i++)
		if (admin_control_len(slice_of(name.p + i, name.len - i)) > 0)
			return "must not contain control characters";
	return NULL;
}

const char *admin_realm_fault(struct slice name)
{
	const char *fault = admin_name_fault(name);

	if (fault != NULL || uri_valid(name))
		return fault;
	if (memchr(name.p, '#', name.len) != NULL)
		return "must not contain '#'";
	if (name.p[0] == '.' || name.p[name.len - 1] == '.' ||
	    memmem(name.p, name.len, "..", 2) != NULL)
		return "must not have an empty part between dots";
	return "must not contain white space";
}

/* --- messages ----------------------------------------------------------------------- */

#define PRINCIPAL(f) .offset = offsetof(struct admin_principal, f)
static const struct field principal_fields[] = {
	{"authid", FIELD_STR, FIELD_REQUIRED, PRINCIPAL(authid)},
	{"realm", FIELD_URI, FIELD_REQUIRED, PRINCIPAL(realm)},
	{"role", FIELD_STR, FIELD_REQUIRED, PRINCIPAL(role)},
	{"extra", FIELD_RAW_MAP, PRINCIPAL(extra)},
	{"keys", FIELD_KEYS, PRINCIPAL(keys)},
	{"disabled", FIELD_BOOL, PRINCIPAL(disabled)},
	{"created", FIELD_UINT, PRINCIPAL(created), .def = FIELD_NONE},
};
static const struct field_table principal_table =
	FIELD_TABLE(principal_fields, struct admin_principal);

int admin_principal_read(struct slice result, struct admin_principal *out)
{
	struct admin_principal p = {.created = FIELD_NONE};
	int e = fields_read_item(result, &principal_table, &p);

	if (e == 0)
		*out = p;
	return e;
}

int admin_principal_read_params(struct slice params, struct admin_principal *out)
{
	struct admin_principal p = {.created = FIELD_NONE};
	int e = fields_read_params(params, &principal_table, &p);

	if (e == 0)
		*out = p;
	return e;
}

void admin_principal_write(struct buf *out, const struct admin_principal *p)
{
	fields_write_item(out, &principal_table, p);
}

void admin_principal_write_params(struct buf *out, const struct admin_principal *p)
{
	fields_write_params(out, &principal_table, p);
}

#define LIST(f) .offset = offsetof(struct admin_list, f)
static const struct field list_fields[] = {
	{"realm", FIELD_STR, LIST(realm)},
	{"role", FIELD_STR, LIST(role)},
	{"after", FIELD_STR, LIST(after)},
};
static const struct field_table list_table = FIELD_TABLE(list_fields, struct admin_list);

int admin_list_read(struct slice params, struct admin_list *out)
{
	struct admin_list l = {.realm = {NULL, 0}};
	int e = fields_read_params(params, &list_table, &l);

	if (e == 0)
		*out = l;
	return e;
}

void admin_list_write(struct buf *out, const struct admin_list *l)
{
	fields_write_params(out, &list_table, l);
}

#define LIST_RESULT(f) .offset = offsetof(struct admin_list_result, f)
static const struct field list_result_fields[] = {
	{"items", FIELD_RAW_ARRAY, FIELD_REQUIRED, LIST_RESULT(items)},
	{"next", FIELD_STR, LIST_RESULT(next)},
};
static const struct field_table list_result_table =
	FIELD_TABLE(list_result_fields, struct admin_list_result);

int admin_list_result_read(struct slice result, struct admin_list_result *out)
{
	struct admin_list_result l = {.items = {NULL, 0}};
	int e = fields_read_item(result, &list_result_table, &l);

	if (e == 0)
		*out = l;
	return e;
}

void admin_list_result_write(struct buf *out, const struct admin_list_result *l)
{
	fields_write_item(out, &list_result_table, l);
}

int admin_list_begin(struct token_reader *r, struct slice items)
{
	struct token t;

	token_reader_init(r, SERIALIZER_MSGPACK, items);
	int e = token_next(r, &t);
	if (e != 0)
		return e;
	return t.type == TOKEN_ARRAY ? 0 : E_TYPE;
}

int admin_list_next(struct token_reader *r, struct admin_principal *out)
{
	struct slice item;
	int e = token_skip(r, &item);

	if (e != 0)
		return e == E_TYPE ? E_NOTFOUND : e; /* E_TYPE: the end of the array */
	return admin_principal_read(item, out);
}

#define TARGET(f) .offset = offsetof(struct admin_target, f)
static const struct field target_fields[] = {
	{"authid", FIELD_STR, FIELD_REQUIRED, TARGET(authid)},
	{"keys", FIELD_KEYS, TARGET(keys)},
};
static const struct field_table target_table =
	FIELD_TABLE(target_fields, struct admin_target);

int admin_target_read(struct slice params, struct admin_target *out)
{
	struct admin_target t = {.authid = {NULL, 0}};
	int e = fields_read_params(params, &target_table, &t);

	if (e == 0)
		*out = t;
	return e;
}

void admin_target_write(struct buf *out, const struct admin_target *t)
{
	fields_write_params(out, &target_table, t);
}

#define CHANGE(f) .offset = offsetof(struct admin_change, f)
static const struct field change_fields[] = {
	{"changed", FIELD_BOOL, FIELD_REQUIRED, CHANGE(changed)},
	{"sessions", FIELD_UINT, CHANGE(sessions)},
	{"pending", FIELD_UINT, CHANGE(pending)},
	{"routers", FIELD_UINT, CHANGE(routers)},
	{"unreachable", FIELD_UINT, CHANGE(unreachable)},
};
static const struct field_table change_table =
	FIELD_TABLE(change_fields, struct admin_change);

int admin_change_read(struct slice result, struct admin_change *out)
{
	struct admin_change c = {.changed = false};
	int e = fields_read_item(result, &change_table, &c);

	if (e == 0)
		*out = c;
	return e;
}

void admin_change_write(struct buf *out, const struct admin_change *c)
{
	fields_write_item(out, &change_table, c);
}
