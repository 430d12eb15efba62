/* SPDX-License-Identifier: Apache-2.0 */
/* The commands authctl principal add, list and show; see ctl.h. Main thread. */
#include "authd/ctl/ctl.h"

#include "common/err.h"
#include "proto/transcode.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

enum {
	MAX_EXTRA_TEXT = 8 * ADMIN_MAX_EXTRA, /* bytes of extra in JSON */
	MAX_FIELDS = 32 * ADMIN_MAX_EXTRA,    /* bytes of a principal as text */
	MAX_LIST = 1 << 30,                   /* bytes of all rows of a list */
};

/* --- principal add --- */

/* Converts a JSON object to a MessagePack map. */
static int encode_extra(const struct ctl *ctl, struct slice text, struct buf *out)
{
	json_error_t error;
	json_t *j = json_loadb(text.len == 0 ? "" : (const char *)text.p, text.len,
			       JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (j == NULL)
		return ctl_fail(ctl, EX_DATAERR, "--extra is not JSON: %s", error.text);
	bool is_object = json_is_object(j);
	json_decref(j);
	if (!is_object)
		return ctl_fail(ctl, EX_DATAERR,
				"--extra must be a JSON object, such as {\"a\": 1}");
	int err = transcode(SERIALIZER_JSON, text, 1, SERIALIZER_MSGPACK, out);
	if (err == E_LIMIT)
		return ctl_fail(ctl, EX_DATAERR,
				"--extra is larger than %d bytes, as MessagePack",
				ADMIN_MAX_EXTRA);
	if (err == 0)
		err = auth_check_map(buf_slice(out), ADMIN_MAX_DEPTH);
	static_assert((int)ADMIN_MAX_EXTRA <= (int)AUTH_MAX_STRING,
		      "no string is too long, so E_LIMIT means too many keys");
	if (err == E_LIMIT)
		return ctl_fail(ctl, EX_DATAERR,
				"--extra has an object with more than %d keys",
				AUTH_MAX_MAP);
	if (err == E_DEPTH)
		return ctl_fail(ctl, EX_DATAERR,
				"--extra has more than %d levels of objects and arrays",
				ADMIN_MAX_DEPTH);
	return err == 0 ? EX_OK : ctl_fail(ctl, EX_DATAERR, "--extra: %s", err_str(err));
}

/* Converts the value of --extra, a JSON text or @FILE. */
static int take_extra(const struct ctl *ctl, const char *arg, struct buf *out)
{
	struct buf file;
	int code;

	if (arg[0] != '@')
		return encode_extra(ctl, slice_str(arg), out);
	buf_init(&file, MAX_EXTRA_TEXT + 1);
	code = ctl_read_file(ctl, arg + 1, MAX_EXTRA_TEXT, &file);
	if (code == EX_OK)
		code = encode_extra(ctl, buf_slice(&file), out);
	buf_fini(&file);
	return code;
}

int principal_add(struct ctl *ctl)
{
	const char *extra = ctl->options[OPT_EXTRA], *what;
	struct admin_principal p = {
		.authid = slice_str(ctl->args[0]),
		.realm = slice_str(ctl->options[OPT_REALM]),
		.role = slice_str(ctl->options[OPT_ROLE]),
		.disabled = ctl->options[OPT_DISABLED] != NULL,
		.created = FIELD_NONE,
	};
	struct slice value;
	struct buf map;

	if (p.realm.p == NULL || p.role.p == NULL)
		return ctl_usage(ctl, "--realm and --role are required");
	const char *fault = admin_names_fault(&p, &what, &value);
	if (fault != NULL)
		return ctl_bad_value(ctl, what, value, fault);
	int code = EX_OK;
	for (; code == EX_OK && p.keys.n < ctl->n_keys; p.keys.n++)
		code = ctl_new_key(ctl, ctl->keys[p.keys.n], p.keys.key[p.keys.n]);
	buf_init(&map, ADMIN_MAX_EXTRA);
	if (code == EX_OK && extra != NULL)
		code = take_extra(ctl, extra, &map);
	p.extra = buf_slice(&map);
	if (code == EX_OK)
		code = ctl_change(ctl, &admin_principal_table, &p);
	buf_fini(&map);
	return code;
}

/* --- principals as text and JSON --- */

struct time_text {
	char text[32];
};

static struct time_text time_text(uint64_t seconds, bool only_day)
{
	struct time_text out = {""};
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds != FIELD_NONE && gmtime_r(&t, &tm) != NULL)
		strftime(out.text, sizeof(out.text),
			 only_day ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

static const char *state(const struct admin_principal *p)
{
	return p->disabled ? "disabled" : "enabled";
}

/* The extra of a principal; an empty map if authd has sent none. */
static struct slice extra_of(const struct admin_principal *p)
{
	return p->extra.len > 0 ? p->extra : slice_str("\x80");
}

static json_t *text_json(struct slice s)
{
	return json_stringn((const char *)s.p, s.len);
}

static json_t *principal_json(const struct admin_principal *p)
{
	json_t *keys = json_array();

	for (unsigned i = 0; i < p->keys.n; i++) {
		struct ctl_key_text t = ctl_key_text(p->keys.key[i]);
		json_array_append_new(keys, json_pack("{s:s,s:s}", "pubkey", t.hex,
						      "fingerprint", t.fingerprint));
	}
	return json_pack("{s:o,s:o,s:o,s:b,s:o,s:o,s:s}", "authid", text_json(p->authid),
			 "realm", text_json(p->realm), "role", text_json(p->role),
			 "disabled", p->disabled, "extra", ctl_json(extra_of(p)), "keys",
			 keys, "created", time_text(p->created, false).text);
}

/* --- principal list --- */

/* The principals of all pages of a list. */
struct listing {
	struct buf cells;
	json_t *items;                 /* for JSON; else NULL */
	char after[AUTH_MAX_NAME + 1]; /* "" at the end of the list */
};

static const char *const headers[] = {"AUTHID", "REALM", "ROLE",
				      "STATE",  "KEYS",  "CREATED"};

static void put_cell(const struct ctl *ctl, struct buf *cells, struct slice text)
{
	ctl_put_text(ctl, cells, text);
	buf_put_u8(cells, '\0');
}

/* Appends a row. A table shows only the number of keys and the date. */
static void put_row(const struct ctl *ctl, struct buf *cells,
		    const struct admin_principal *p)
{
	bool table = ctl->format == CTL_TABLE;

	put_cell(ctl, cells, p->authid);
	put_cell(ctl, cells, p->realm);
	put_cell(ctl, cells, p->role);
	put_cell(ctl, cells, slice_str(state(p)));
	if (table)
		buf_printf(cells, "%u", p->keys.n);
	for (unsigned i = 0; !table && i < p->keys.n; i++)
		buf_printf(cells, "%s%s", i > 0 ? "," : "",
			   ctl_key_text(p->keys.key[i]).hex);
	buf_put_u8(cells, '\0');
	put_cell(ctl, cells, slice_str(time_text(p->created, table).text));
}

/* Adds the principals of a page to the listing and sets the start of the next page. */
static int take_page(struct ctl *ctl, struct listing *l, const struct buf *page)
{
	struct admin_list_result res;
	struct admin_principal p;
	struct token_reader r;
	char next[AUTH_MAX_NAME + 1] = "";

	int err = fields_read_item(buf_slice(page), &admin_list_result_table, &res);
	if (err == 0)
		err = admin_list_begin(&r, res.items);
	while (err == 0 && (err = admin_list_next(&r, &p)) == 0) {
		if (ctl->format != CTL_JSON)
			put_row(ctl, &l->cells, &p);
		else if (json_array_append_new(l->items, principal_json(&p)) != 0)
			return ctl_nomem(ctl);
	}
	if (err == E_NOTFOUND && res.next.len > 0)
		memcpy(next, res.next.p, res.next.len);
	/* If authd went back in the list, the loop in list_all might never end. */
	if (next[0] != '\0' && strcmp(next, l->after) <= 0)
		err = E_RANGE;
	if (err != E_NOTFOUND)
		return ctl_bad_answer(ctl, err);
	memcpy(l->after, next, sizeof(next));
	return EX_OK;
}

static int list_all(struct ctl *ctl, struct admin_list *which, struct listing *l)
{
	struct buf page;
	int code;

	buf_init(&page, AUTH_MAX_MESSAGE);
	do {
		buf_clear(&page);
		which->after = slice_str(l->after);
		code = ctl_call(ctl, ADMIN_PRINCIPAL_LIST, &admin_list_table, which,
				&page);
		if (code == EX_OK)
			code = take_page(ctl, l, &page);
	} while (code == EX_OK && l->after[0] != '\0');
	buf_fini(&page);
	return code;
}

static int take_filter(const struct ctl *ctl, const char *what, const char *arg,
		       struct slice *out)
{
	*out = slice_str(arg);
	return arg == NULL ? EX_OK
			   : ctl_bad_value(ctl, what, *out, admin_search_fault(*out));
}

int principal_list(struct ctl *ctl)
{
	struct admin_list which;
	struct listing l = {.items = ctl->format == CTL_JSON ? json_array() : NULL};

	int code = take_filter(ctl, "realm", ctl->options[OPT_REALM], &which.realm);
	if (code == EX_OK)
		code = take_filter(ctl, "role", ctl->options[OPT_ROLE], &which.role);
	buf_init(&l.cells, MAX_LIST);
	for (size_t i = 0; ctl->format == CTL_TABLE && i < ARRAY_LEN(headers); i++)
		put_cell(ctl, &l.cells, slice_str(headers[i]));
	if (code == EX_OK)
		code = list_all(ctl, &which, &l);
	if (code != EX_OK)
		json_decref(l.items);
	else if (ctl->format == CTL_JSON)
		code = ctl_print_json(ctl, l.items);
	else
		code = ctl_print_rows(ctl, &l.cells, ARRAY_LEN(headers));
	buf_fini(&l.cells);
	return code;
}

/* --- principal show --- */

static void put_field(const struct ctl *ctl, struct buf *b, const char *name,
		      struct slice value)
{
	buf_printf(b, ctl->format == CTL_PLAIN ? "%s\t" : "%-11s  ", name);
	ctl_put_text(ctl, b, value);
	buf_put_u8(b, '\n');
}

static int print_fields(const struct ctl *ctl, const struct admin_principal *p)
{
	struct buf b, extra;

	buf_init(&b, MAX_FIELDS);
	buf_init(&extra, MAX_FIELDS);
	ctl_put_json(&extra, extra_of(p));
	put_field(ctl, &b, "authid", p->authid);
	put_field(ctl, &b, "realm", p->realm);
	put_field(ctl, &b, "role", p->role);
	put_field(ctl, &b, "state", slice_str(state(p)));
	put_field(ctl, &b, "extra", buf_slice(&extra));
	put_field(ctl, &b, "created", slice_str(time_text(p->created, false).text));
	for (unsigned i = 0; i < p->keys.n; i++) {
		struct ctl_key_text t = ctl_key_text(p->keys.key[i]);
		char both[sizeof(t) + 2];
		snprintf(both, sizeof(both), "%s%s%s", t.hex,
			 ctl->format == CTL_PLAIN ? "\t" : "  ", t.fingerprint);
		put_field(ctl, &b, "key", slice_str(both));
	}
	bool failed = b.err != 0 || extra.err != 0;
	if (!failed)
		fwrite(b.data, 1, b.len, stdout);
	buf_fini(&b);
	buf_fini(&extra);
	return failed ? ctl_nomem(ctl) : ctl_flush(ctl);
}

int principal_show(struct ctl *ctl)
{
	struct admin_principal p;
	struct buf result;

	buf_init(&result, AUTH_MAX_MESSAGE);
	int code = ctl_show(ctl, &result, &p);
	if (code == EX_OK && ctl->format == CTL_JSON)
		code = ctl_print_json(ctl, json_pack("[o]", principal_json(&p)));
	else if (code == EX_OK)
		code = print_fields(ctl, &p);
	buf_fini(&result);
	return code;
}
