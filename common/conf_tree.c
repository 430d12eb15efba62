/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From YAML to a tree of nodes, by libyaml's events; see conf_tree.h. Events, not
 * libyaml's own documents, because nesting can then be refused before it costs anything.
 */
#include "common/conf_tree.h"

#include "common/err.h"

#include <stdio.h>
#include <yaml.h>

enum { NAME_SHOWN = 200 }; /* bytes of a file's name in a message */

struct tree_reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	struct slice text;
	const char *name;
	struct pool *pool;
	struct conf_error *err;
};

void conf_error_put(struct conf_error *err, const char *name, struct conf_place at,
		    const char *fmt, va_list ap)
{
	enum { LINE_MAX = 600, MORE_MAX = 40 };
	char line[LINE_MAX];
	size_t len = strlen(name), room = sizeof(err->text) - MORE_MAX - err->len;
	const char *dots = len > NAME_SHOWN ? "..." : "";
	const char *tail = len > NAME_SHOWN ? name + len - NAME_SHOWN : name;
	const char *feed = err->len > 0 ? "\n" : "";
	int n = snprintf(line, sizeof(line), "%s%s%s:%u:%u: ", feed, dots, tail, at.line,
			 at.column);

	ASSERT(n > 0 && (size_t)n < sizeof(line));
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	if (err->left_out == 0 && strlen(line) < room) {
		strcpy(err->text + err->len, line);
		err->len += strlen(line);
	} else {
		snprintf(err->text + err->len, MORE_MAX, "\n... and %zu more",
			 ++err->left_out);
	}
}

PRINTF_LIKE(3, 4)
static int fail_at(struct tree_reader *r, struct conf_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_error_put(r->err, r->name, at, fmt, ap);
	va_end(ap);
	return E_SYNTAX;
}

static int fail_nomem(struct tree_reader *r)
{
	snprintf(r->err->text, sizeof(r->err->text), "%s", err_str(E_NOMEM));
	return E_NOMEM;
}

/* libyaml counts from 0. */
static struct conf_place place_of(yaml_mark_t mark)
{
	return (struct conf_place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* Where libyaml gives no more than the offset of a byte. */
static struct conf_place place_of_offset(struct slice text, size_t offset)
{
	struct conf_place at = {1, 1};

	for (size_t i = 0; i < offset && i < text.len; i++) {
		at.column++;
		if (text.p[i] == '\n')
			at = (struct conf_place){at.line + 1, 1};
	}
	return at;
}

static int fail_yaml(struct tree_reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem != NULL ? p->problem : "malformed YAML";

	if (p->error == YAML_MEMORY_ERROR)
		return fail_nomem(r);
	if (p->error == YAML_READER_ERROR)
		return fail_at(r, place_of_offset(r->text, p->problem_offset), "%s",
			       problem);
	if (p->context == NULL)
		return fail_at(r, place_of(p->problem_mark), "%s", problem);
	return fail_at(r, place_of(p->problem_mark), "%s (%s that begins at line %u)",
		       problem, p->context, place_of(p->context_mark).line);
}

static int next_event(struct tree_reader *r)
{
	yaml_event_delete(&r->event);
	return yaml_parser_parse(&r->parser, &r->event) ? 0 : fail_yaml(r);
}

/* Anchors and tags, on whatever kind of node. */
static int refuse_extras(struct tree_reader *r)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (r->event.type == YAML_ALIAS_EVENT)
		return fail_at(r, place_of(r->event.start_mark),
			       "aliases are not supported: write the value out");
	if (r->event.type == YAML_SCALAR_EVENT) {
		anchor = r->event.data.scalar.anchor;
		tag = r->event.data.scalar.tag;
	} else if (r->event.type == YAML_SEQUENCE_START_EVENT) {
		anchor = r->event.data.sequence_start.anchor;
		tag = r->event.data.sequence_start.tag;
	} else if (r->event.type == YAML_MAPPING_START_EVENT) {
		anchor = r->event.data.mapping_start.anchor;
		tag = r->event.data.mapping_start.tag;
	}
	if (anchor != NULL)
		return fail_at(r, place_of(r->event.start_mark),
			       "anchors are not supported: leave out '&...'");
	if (tag != NULL)
		return fail_at(r, place_of(r->event.start_mark),
			       "tags are not supported: leave out '!...'");
	return 0;
}

static int read_scalar(struct tree_reader *r, struct conf_node *n)
{
	struct slice text =
		slice_of(r->event.data.scalar.value, r->event.data.scalar.length);

	n->kind = CONF_NODE_SCALAR;
	n->plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (text.len > 0 && memchr(text.p, 0, text.len) != NULL)
		return fail_at(r, n->place, "a text must not contain a NUL byte");
	n->text = pool_text(r->pool, text);
	return n->text != NULL ? 0 : fail_nomem(r);
}

static int read_node(struct tree_reader *r, unsigned depth, struct conf_node **out);

/* The nodes up to the event that ends their container. */
static int read_children(struct tree_reader *r, struct conf_node *n, unsigned depth,
			 yaml_event_type_t end)
{
	struct conf_node **tail = &n->first;
	size_t nodes = 0;

	if (depth > CONF_MAX_DEPTH)
		return fail_at(r, n->place, "nested more than %d deep", CONF_MAX_DEPTH);
	for (;; nodes++) {
		int rc = next_event(r);

		if (rc != 0)
			return rc;
		if (r->event.type == end)
			break;
		rc = read_node(r, depth, tail);
		if (rc != 0)
			return rc;
		bool is_key = n->kind == CONF_NODE_MAP && nodes % 2 == 0;
		if (is_key && (*tail)->kind != CONF_NODE_SCALAR)
			return fail_at(r, (*tail)->place, "expected a key");
		tail = &(*tail)->next;
	}
	n->count = n->kind == CONF_NODE_MAP ? nodes / 2 : nodes;
	return 0;
}

/* The node that begins with the current event. */
static int read_node(struct tree_reader *r, unsigned depth, struct conf_node **out)
{
	struct conf_node *n = pool_alloc(r->pool, sizeof(*n));
	int rc = refuse_extras(r);

	if (rc != 0)
		return rc;
	if (n == NULL)
		return fail_nomem(r);
	*out = n;
	n->place = place_of(r->event.start_mark);
	if (r->event.type == YAML_SEQUENCE_START_EVENT) {
		n->kind = CONF_NODE_LIST;
		return read_children(r, n, depth + 1, YAML_SEQUENCE_END_EVENT);
	}
	if (r->event.type == YAML_MAPPING_START_EVENT) {
		n->kind = CONF_NODE_MAP;
		return read_children(r, n, depth + 1, YAML_MAPPING_END_EVENT);
	}
	ASSERT(r->event.type == YAML_SCALAR_EVENT);
	return read_scalar(r, n);
}

static int read_document(struct tree_reader *r, struct conf_node **root_out)
{
	int rc = next_event(r); /* the stream's start */

	if (rc == 0)
		rc = next_event(r);
	if (rc != 0)
		return rc;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return fail_at(r, (struct conf_place){1, 1}, "the file is empty");
	rc = next_event(r);
	if (rc == 0)
		rc = read_node(r, 0, root_out);
	if (rc == 0)
		rc = next_event(r); /* the document's end */
	if (rc == 0)
		rc = next_event(r);
	if (rc == 0 && r->event.type != YAML_STREAM_END_EVENT)
		return fail_at(r, place_of(r->event.start_mark),
			       "a second document begins: one is expected");
	return rc;
}

int conf_tree_read(struct slice text, const char *name, struct pool *pool,
		   struct conf_node **root_out, struct conf_error *err_out)
{
	struct tree_reader r = {.text = text, .name = name, .pool = pool, .err = err_out};

	if (text.len > CONF_MAX_FILE)
		return fail_at(&r, (struct conf_place){1, 1},
			       "the file is over %d bytes long", CONF_MAX_FILE);
	if (text.len >= 2 && (text.p[0] >= 0xfe || text.p[0] == 0 || text.p[1] == 0))
		return fail_at(&r, (struct conf_place){1, 1},
			       "the file is not UTF-8 but looks like UTF-16: save it as "
			       "UTF-8");
	/* the mark of Windows editors */
	if (text.len >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
		text = slice_of(text.p + 3, text.len - 3);
	r.text = text;
	if (!yaml_parser_initialize(&r.parser))
		return fail_nomem(&r);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, text.p, text.len);
	int rc = read_document(&r, root_out);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	return rc;
}
