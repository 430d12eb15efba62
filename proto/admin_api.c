/* SPDX-License-Identifier: Apache-2.0 */
/* The authctl-authd protocol; see admin_api.h. */
#include "proto/admin_api.h"

#include "common/err.h"

#define PRINCIPAL(f) .offset = offsetof(struct admin_principal, f)
static const struct field principal_fields[] = {
	{"authid", FIELD_STR, FIELD_REQUIRED, PRINCIPAL(authid)},
	{"realm", FIELD_URI, FIELD_REQUIRED, PRINCIPAL(realm)},
	{"role", FIELD_STR, FIELD_REQUIRED, PRINCIPAL(role)},
	{"extra", FIELD_RAW_MAP, PRINCIPAL(extra)},
	{"keys", FIELD_KEYS, PRINCIPAL(keys)},
	{"disabled", FIELD_BOOL, PRINCIPAL(disabled)},
	{"created", FIELD_UINT, PRINCIPAL(created)},
};
static const struct field_table principal_table = FIELD_TABLE(principal_fields);

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
static const struct field_table list_table = FIELD_TABLE(list_fields);

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
static const struct field_table list_result_table = FIELD_TABLE(list_result_fields);

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
static const struct field_table target_table = FIELD_TABLE(target_fields);

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
static const struct field_table change_table = FIELD_TABLE(change_fields);

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
