/* SPDX-License-Identifier: Apache-2.0 */
/* authctl principal ...; see ctl.h. */
#include "authd/ctl/ctl.h"

#include "authd/ctl/change.h"
#include "common/err.h"
#include "proto/transcode.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* --- principal add ------------------------------------------------------------------ */

/* A JSON object, given as text or as @FILE, becomes a MessagePack map. */
static int parse_extra(struct ctl *ctl, const char *arg, struct buf *out)
{
	struct buf file;
	json_error_t error;
	int code = EX_OK;

	buf_init(&file, 8 * ADMIN_MAX_EXTRA + 1);
	if (arg[0] == '@')
		code = ctl_read_file(ctl, arg + 1, 8 * ADMIN_MAX_EXTRA, &file);
	else
		buf_put_str(&file, arg);
	json_t *j = NULL;
	if (code == EX_OK)
		j = json_loadb(file.len == 0 ? "" : (const char *)file.data, file.len,
			       JSON_REJECT_DUPLICATES, &error);
	if (code == EX_OK && j == NULL)
		code = ctl_fail(ctl, EX_DATAERR, NULL, "--extra is not JSON: %s",
				error.text);
	else if (code == EX_OK && !json_is_object(j))
		code = ctl_fail(ctl, EX_DATAERR, NULL,
				"--extra must be a JSON object, such as {\"a\": 1}");
	/* jansson has checked it; its own text is what is transcoded */
	char *text = code == EX_OK ? json_dumps(j, JSON_COMPACT) : NULL;
	if (code == EX_OK && text == NULL)
		code = ctl_nomem(ctl);
	if (code == EX_OK) {
		int r = transcode(SERIALIZER_JSON, slice_str(text), 1, SERIALIZER_MSGPACK,
				  out);
		if (r == 0)
			r = auth_check_map(buf_slice(out), ADMIN_MAX_DEPTH);
		if (r == E_LIMIT)
			code = ctl_fail(ctl, EX_DATAERR, NULL,
					"--extra is larger than %d bytes, as MessagePack",
					ADMIN_MAX_EXTRA);
		else if (r == E_DEPTH)
			code = ctl_fail(ctl, EX_DATAERR, NULL,
					"--extra is nested deeper than %d levels",
					ADMIN_MAX_DEPTH);
		else if (r != 0)
			code = ctl_fail(ctl, EX_DATAERR, NULL, "--extra: %s", err_str(r));
	}
	free(text);
	json_decref(j);
	buf_fini(&file);
	return code;
}

/* What the options of principal add have given. */
struct new_principal {
	struct admin_principal p;
	struct buf extra;
};

static int add_key_option(struct ctl *ctl, struct new_principal *n, const char *arg)
{
	struct field_keys *keys = &n->p.keys;
	uint8_t key[SSH_KEY_BYTES];

	if (keys->n == FIELD_MAX_KEYS)
		return ctl_usage(ctl, "more than %d keys", FIELD_MAX_KEYS);
	int code = ctl_new_key(ctl, arg, key);
	if (code != EX_OK)
		return code;
	memcpy(keys->key[keys->n++], key, sizeof(key));
	return EX_OK;
}

static int add_option(struct ctl *ctl, struct new_principal *n, int option)
{
	switch (option) {
	case 'r':
		n->p.role = slice_str(optarg);
		return EX_OK;
	case 'm':
		n->p.realm = slice_str(optarg);
		return EX_OK;
	case 'k':
		return add_key_option(ctl, n, optarg);
	case 'e':
		buf_clear(&n->extra);
		return parse_extra(ctl, optarg, &n->extra);
	case 'd':
		n->p.disabled = true;
		return EX_OK;
	default:
		return EX_USAGE; /* has been said */
	}
}

static int check_names(const struct ctl *ctl, const struct admin_principal *p)
{
	int code = ctl_bad_value(ctl, "authid", p->authid, admin_name_fault(p->authid));

	if (code == EX_OK)
		code = ctl_bad_value(ctl, "realm", p->realm, admin_realm_fault(p->realm));
	if (code == EX_OK)
		code = ctl_bad_value(ctl, "role", p->role, admin_name_fault(p->role));
	return code;
}

static int add(struct ctl *ctl, int argc, char **argv, struct new_principal *n)
{
	static const struct option options[] = {
		{"role", required_argument, NULL, 'r'},
		{"realm", required_argument, NULL, 'm'},
		{"key", required_argument, NULL, 'k'},
		{"extra", required_argument, NULL, 'e'},
		{"disabled", no_argument, NULL, 'd'},
		{NULL, 0, NULL, 0},
	};
	static const char *const names[] = {"AUTHID"};
	struct buf params;
	int o;

	while ((o = ctl_option(ctl, argc, argv, options)) != -1) {
		int said = add_option(ctl, n, o);
		if (said != EX_OK)
			return said;
	}
	int code = ctl_want_args(ctl, argc, argv, 1, names);
	if (code != EX_OK)
		return code;
	if (n->p.realm.p == NULL || n->p.role.p == NULL)
		return ctl_usage(ctl, "--realm and --role are needed");
	n->p.authid = slice_str(argv[optind]);
	n->p.extra = buf_slice(&n->extra);
	code = check_names(ctl, &n->p);
	if (code != EX_OK)
		return code;
	buf_init(&params, AUTH_MAX_MESSAGE);
	admin_principal_write_params(&params, &n->p);
	code = ctl_change(ctl, &(struct ctl_change){
				       .method = ADMIN_PRINCIPAL_ADD,
				       .authid = argv[optind],
				       .params = &params,
				       .done = "added",
				       .was_so = "is there already",
			       });
	buf_fini(&params);
	return code;
}

int principal_add(struct ctl *ctl, int argc, char **argv)
{
	struct new_principal n = {.p.created = FIELD_NONE};

	buf_init(&n.extra, ADMIN_MAX_EXTRA);
	int code = add(ctl, argc, argv, &n);
	buf_fini(&n.extra);
	return code;
}

/* --- principals as text and JSON ---------------------------------------------------- */

static void format_time(uint64_t seconds, char *out, size_t size)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	out[0] = '\0';
	if (seconds != FIELD_NONE && gmtime_r(&t, &tm) != NULL)
		strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/*
 * Appends it with a terminator. For a terminal, characters that would steer it become
 * \xNN: a database may hold names from before they were refused.
 */
static void put_slice_text(const struct ctl *ctl, struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.len;) {
		size_t n = admin_control_len(slice_of(s.p + i, s.len - i));
		if (n == 0 || ctl->format != CTL_TABLE)
			buf_put_u8(b, s.p[i++]);
		else
			for (size_t end = i + n; i < end; i++)
				buf_printf(b, "\\x%02x", s.p[i]);
	}
	buf_put_u8(b, '\0');
}

/* Extra as JSON text; null if JSON cannot say it. */
static void put_extra(struct buf *b, struct slice extra)
{
	size_t start = b->len;

	if (extra.len == 0)
		buf_put_str(b, "{}");
	else if (transcode(SERIALIZER_MSGPACK, extra, 1, SERIALIZER_JSON, b) != 0 &&
		 b->err == E_UNSUPPORTED) {
		b->err = 0;
		b->len = start;
		buf_put_str(b, "null");
	}
	buf_put_u8(b, '\0');
}

static json_t *keys_json(const struct admin_principal *p)
{
	json_t *keys = json_array();

	for (unsigned i = 0; i < p->keys.n; i++)
		json_array_append_new(keys, ctl_key_json(p->keys.key[i]));
	return keys;
}

static json_t *text_json(struct slice s)
{
	return json_stringn((const char *)s.p, s.len);
}

static json_t *principal_json(const struct admin_principal *p)
{
	struct buf extra;
	char created[32];
	json_t *x = NULL;

	format_time(p->created, created, sizeof(created));
	buf_init(&extra, 16 * ADMIN_MAX_EXTRA);
	put_extra(&extra, p->extra);
	if (extra.err == 0)
		x = json_loads((const char *)extra.data, JSON_DECODE_ANY, NULL);
	buf_fini(&extra);
	return json_pack("{s:o,s:o,s:o,s:b,s:o,s:o,s:s}", "authid", text_json(p->authid),
			 "realm", text_json(p->realm), "role", text_json(p->role),
			 "disabled", p->disabled, "extra", x == NULL ? json_null() : x,
			 "keys", keys_json(p), "created", created);
}

static void put_keys(struct buf *b, const struct admin_principal *p)
{
	char hex[2 * SSH_KEY_BYTES + 1];

	for (unsigned i = 0; i < p->keys.n; i++) {
		if (i > 0)
			buf_put_u8(b, ',');
		fields_key_encode(p->keys.key[i], hex);
		buf_put_str(b, hex);
	}
	buf_put_u8(b, '\0');
}

/* --- principal list ----------------------------------------------------------------- */

static const char *const table_headers[] = {"AUTHID", "REALM", "ROLE",
					    "STATE",  "KEYS",  "CREATED"};

static bool add_row(const struct ctl *ctl, struct ctl_rows *rows,
		    const struct admin_principal *p)
{
	size_t at[4]; /* of the texts in b, which moves while it grows */
	char created[32], count[16];
	struct buf b;

	format_time(p->created, created, sizeof(created));
	if (ctl->format == CTL_TABLE)
		created[strcspn(created, "T")] = '\0'; /* the day is enough there */
	snprintf(count, sizeof(count), "%u", p->keys.n);
	buf_init(&b, AUTH_MAX_MESSAGE);
	at[0] = b.len;
	put_slice_text(ctl, &b, p->authid);
	at[1] = b.len;
	put_slice_text(ctl, &b, p->realm);
	at[2] = b.len;
	put_slice_text(ctl, &b, p->role);
	at[3] = b.len;
	put_keys(&b, p);
	bool ok = b.err == 0;
	if (ok) {
		const char *text = (const char *)b.data;
		const char *cells[] = {
			text + at[0],
			text + at[1],
			text + at[2],
			p->disabled ? "disabled" : "enabled",
			ctl->format == CTL_TABLE ? count : text + at[3],
			created,
		};
		ok = ctl_rows_add(rows, cells);
	}
	buf_fini(&b);
	return ok;
}

/* Where the pages of a list are gathered. */
struct listing {
	struct ctl_rows rows;
	json_t *items;                 /* in JSON mode */
	char after[AUTH_MAX_NAME + 1]; /* "" when it is complete */
};

static int take_page(struct ctl *ctl, struct listing *l, struct slice page)
{
	struct admin_list_result res;
	struct admin_principal p;
	struct token_reader r;

	int e = admin_list_result_read(page, &res);
	if (e == 0)
		e = admin_list_begin(&r, res.items);
	while (e == 0) {
		e = admin_list_next(&r, &p);
		if (e != 0)
			break;
		bool ok =
			ctl->format == CTL_JSON
				? json_array_append_new(l->items, principal_json(&p)) == 0
				: add_row(ctl, &l->rows, &p);
		if (!ok)
			return ctl_nomem(ctl);
	}
	if (e == E_NOTFOUND && res.next.len > AUTH_MAX_NAME)
		e = E_LIMIT;
	if (e != E_NOTFOUND)
		return ctl_fail(ctl, EX_SOFTWARE, NULL, "authd's answer: %s", err_str(e));
	char next[AUTH_MAX_NAME + 1] = "";
	memcpy(next, res.next.len == 0 ? (const uint8_t *)"" : res.next.p, res.next.len);
	if (next[0] != '\0' && strcmp(next, l->after) <= 0) /* it would never end */
		return ctl_fail(ctl, EX_SOFTWARE, NULL, "authd's answer: %s",
				err_str(E_RANGE));
	memcpy(l->after, next, sizeof(next));
	return EX_OK;
}

static int list_all(struct ctl *ctl, struct admin_list *which, struct listing *l)
{
	struct buf params, result;
	int code;

	buf_init(&params, AUTH_MAX_MESSAGE);
	buf_init(&result, AUTH_MAX_MESSAGE);
	do {
		buf_clear(&params);
		buf_clear(&result);
		which->after = slice_str(l->after);
		admin_list_write(&params, which);
		code = ctl_call(ctl, ADMIN_PRINCIPAL_LIST, "list", &params, &result);
		if (code == EX_OK)
			code = take_page(ctl, l, buf_slice(&result));
	} while (code == EX_OK && l->after[0] != '\0');
	buf_fini(&params);
	buf_fini(&result);
	return code;
}

int principal_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"role", required_argument, NULL, 'r'},
		{"realm", required_argument, NULL, 'm'},
		{NULL, 0, NULL, 0},
	};
	struct admin_list which = {.realm = {NULL, 0}};
	struct listing l = {.items = NULL};
	int o;

	while ((o = ctl_option(ctl, argc, argv, options)) != -1) {
		if (o == '?')
			return EX_USAGE;
		*(o == 'r' ? &which.role : &which.realm) = slice_str(optarg);
		int bad = ctl_check_sought(ctl, o == 'r' ? "role" : "realm",
					   slice_str(optarg));
		if (bad != EX_OK)
			return bad;
	}
	int code = ctl_want_args(ctl, argc, argv, 0, NULL);
	if (code != EX_OK)
		return code;
	ctl_rows_init(&l.rows, table_headers, ARRAY_LEN(table_headers));
	if (ctl->format == CTL_JSON)
		l.items = json_array();
	code = list_all(ctl, &which, &l);
	if (code == EX_OK && ctl->format == CTL_JSON)
		code = ctl_json_print(ctl, l.items);
	else if (code == EX_OK)
		code = ctl_rows_print(ctl, &l.rows);
	else
		json_decref(l.items);
	ctl_rows_fini(&l.rows);
	return code;
}

/* --- principal show ----------------------------------------------------------------- */

static int print_fields(const struct ctl *ctl, const struct admin_principal *p)
{
	const char *gap = ctl->format == CTL_PLAIN ? "\t" : "  ";
	int width = ctl->format == CTL_PLAIN ? 0 : 11;
	char created[32], fingerprint[SSH_FINGERPRINT], hex[2 * SSH_KEY_BYTES + 1];
	struct buf extra;

	format_time(p->created, created, sizeof(created));
	buf_init(&extra, 16 * ADMIN_MAX_EXTRA);
	put_extra(&extra, p->extra);
	if (extra.err != 0) {
		buf_fini(&extra);
		return ctl_nomem(ctl);
	}
	struct buf text;
	const struct {
		const char *name;
		struct slice value;
	} fields[] = {
		{"authid", p->authid},
		{"realm", p->realm},
		{"role", p->role},
		{"state", slice_str(p->disabled ? "disabled" : "enabled")},
		{"extra", slice_str((const char *)extra.data)},
		{"created", slice_str(created)},
	};
	buf_init(&text, 16 * ADMIN_MAX_EXTRA);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		buf_clear(&text);
		put_slice_text(ctl, &text, fields[i].value);
		if (text.err == 0)
			printf("%-*s%s%s\n", width, fields[i].name, gap,
			       (const char *)text.data);
	}
	int err = text.err;
	buf_fini(&text);
	if (err != 0) {
		buf_fini(&extra);
		return ctl_nomem(ctl);
	}
	for (unsigned i = 0; i < p->keys.n; i++) {
		fields_key_encode(p->keys.key[i], hex);
		ssh_key_fingerprint(p->keys.key[i], fingerprint);
		printf("%-*s%s%s%s%s\n", width, "key", gap, hex, gap, fingerprint);
	}
	buf_fini(&extra);
	return ctl_flush(ctl);
}

int principal_show(struct ctl *ctl, int argc, char **argv)
{
	struct admin_principal p;
	struct buf result;

	buf_init(&result, AUTH_MAX_MESSAGE);
	int code = ctl_authid_call(ctl, argc, argv, ADMIN_PRINCIPAL_SHOW, &result);
	if (code == EX_OK && admin_principal_read(buf_slice(&result), &p) != 0)
		code = ctl_fail(ctl, EX_SOFTWARE, NULL, "authd's answer is malformed");
	else if (code == EX_OK && ctl->format == CTL_JSON)
		code = ctl_json_print(ctl, json_pack("[o]", principal_json(&p)));
	else if (code == EX_OK)
		code = print_fields(ctl, &p);
	buf_fini(&result);
	return code;
}

/* --- principal disable, enable, remove ---------------------------------------------- */

/* A command whose only argument is an AUTHID. */
static int change(struct ctl *ctl, int argc, char **argv, struct ctl_change *c)
{
	struct buf params;
	struct admin_target t = {.authid = {NULL, 0}};

	int code = ctl_authid_arg(ctl, argc, argv, &c->authid);
	if (code != EX_OK)
		return code;
	t.authid = slice_str(c->authid);
	buf_init(&params, AUTH_MAX_MESSAGE);
	admin_target_write(&params, &t);
	c->params = &params;
	code = ctl_change(ctl, c);
	buf_fini(&params);
	return code;
}

int principal_disable(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv,
		      &(struct ctl_change){
			      .method = ADMIN_PRINCIPAL_DISABLE,
			      .done = "disabled",
			      .was_so = "is disabled already",
			      .revokes = true,
		      });
}

int principal_enable(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv,
		      &(struct ctl_change){
			      .method = ADMIN_PRINCIPAL_ENABLE,
			      .done = "enabled",
			      .was_so = "is enabled already",
		      });
}

int principal_remove(struct ctl *ctl, int argc, char **argv)
{
	return change(ctl, argc, argv,
		      &(struct ctl_change){
			      .method = ADMIN_PRINCIPAL_REMOVE,
			      .done = "removed",
			      .was_so = "is removed already",
			      .revokes = true,
		      });
}
