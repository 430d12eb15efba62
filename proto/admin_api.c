/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol between authctl and authd; see admin_api.h. No state; any thread. */
#include "proto/admin_api.h"

#include "common/err.h"
#include "common/utf8.h"
#include "proto/uri.h"

/* --- names --- */

size_t admin_control_len(struct slice s)
{
	static const struct {
		uint8_t len, first[2], lo, hi; /* the last byte lies between lo and hi */
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

const char *admin_search_fault(struct slice name)
{
	return name.len == 0                  ? "must not be empty"
	       : name.len > FIELD_DEFAULT_MAX ? "must have at most 255 bytes"
	       : !utf8_valid(name)            ? "must be UTF-8"
					      : NULL;
}

static const char *name_fault(struct slice name)
{
	const char *fault = admin_search_fault(name);

	/* It is safe to test at every byte: no control character starts with a
	 * continuation byte. */
	for (size_t i = 0; fault == NULL && i < name.len; i++)
		if (admin_control_len(slice_from(name, i)) > 0)
			fault = "must not contain control characters";
	return fault;
}

/* A realm must also be a valid URI. */
static const char *realm_fault(struct slice name)
{
	const char *fault = name_fault(name);

	return fault != NULL ? fault : uri_fault(MATCH_EXACT, name);
}

const char *admin_names_fault(const struct admin_principal *p, const char **what_out,
			      struct slice *value_out)
{
	const struct {
		const char *what;
		struct slice value;
		const char *fault;
	} names[] = {
		{"authid", p->authid, name_fault(p->authid)},
		{"realm", p->realm, realm_fault(p->realm)},
		{"role", p->role, name_fault(p->role)},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].fault == NULL)
			continue;
		*what_out = names[i].what;
		*value_out = names[i].value;
		return names[i].fault;
	}
	return NULL;
}

/* --- messages --- */

static const struct field admin_principal_fields[] = {
	FIELD(admin_principal, authid, FIELD_STR, FIELD_REQUIRED),
	FIELD(admin_principal, realm, FIELD_URI, FIELD_REQUIRED),
	FIELD(admin_principal, role, FIELD_STR, FIELD_REQUIRED),
	FIELD(admin_principal, extra, FIELD_RAW_MAP),
	FIELD(admin_principal, keys, FIELD_KEYS),
	FIELD(admin_principal, disabled, FIELD_BOOL),
	FIELD(admin_principal, created, FIELD_UINT, .def = FIELD_NONE),
};
const struct field_table admin_principal_table = FIELD_TABLE(admin_principal);

static const struct field admin_list_fields[] = {
	FIELD(admin_list, realm, FIELD_STR),
	FIELD(admin_list, role, FIELD_STR),
	FIELD(admin_list, after, FIELD_STR),
};
const struct field_table admin_list_table = FIELD_TABLE(admin_list);

static const struct field admin_list_result_fields[] = {
	FIELD(admin_list_result, items, FIELD_RAW_ARRAY, FIELD_REQUIRED),
	FIELD(admin_list_result, next, FIELD_STR),
};
const struct field_table admin_list_result_table = FIELD_TABLE(admin_list_result);

int admin_list_begin(struct token_reader *r, struct slice items)
{
	struct token t;

	token_reader_init(r, SERIALIZER_MSGPACK, items);
	return token_expect(r, TOKEN_ARRAY, &t);
}

int admin_list_next(struct token_reader *r, struct admin_principal *out)
{
	struct slice item;
	int err = token_skip(r, &item);

	/* token_skip returns E_TYPE at the end of the array. */
	if (err != 0)
		return err == E_TYPE ? E_NOTFOUND : err;
	return fields_read_item(item, &admin_principal_table, out);
}

static const struct field admin_target_fields[] = {
	FIELD(admin_target, authid, FIELD_STR, FIELD_REQUIRED),
	FIELD(admin_target, keys, FIELD_KEYS),
};
const struct field_table admin_target_table = FIELD_TABLE(admin_target);

static const struct field admin_change_fields[] = {
	FIELD(admin_change, changed, FIELD_BOOL, FIELD_REQUIRED),
	FIELD(admin_change, sessions, FIELD_UINT, .def = FIELD_NONE),
	FIELD(admin_change, pending, FIELD_UINT, .def = FIELD_NONE),
	FIELD(admin_change, routers, FIELD_UINT, .def = FIELD_NONE),
	FIELD(admin_change, unreachable, FIELD_UINT, .def = FIELD_NONE),
};
const struct field_table admin_change_table = FIELD_TABLE(admin_change);
