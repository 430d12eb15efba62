/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a file and turns its text into libyaml's document; see conf_int.h. Also logs the
 * warnings about a file; see conf.h. No state; any thread.
 *
 * libyaml does not limit the nesting of a document. The time that libyaml needs grows
 * with the square of the nesting and of the number of anchors, and aliases can make the
 * nodes circular. So a first pass looks at the events only, in linear time and little
 * memory, and rejects such texts. The second pass loads the document.
 */
#include "common/conf_int.h"

#include "common/err.h"

#include <assert.h>
#include <stdio.h>

/* --- messages --- */

void conf_error_add(struct conf_error *errors, const char *name, yaml_mark_t at,
		    const char *message)
{
	enum { NAME_SHOWN = 200, MORE_MAX = 40 }; /* bytes */
	char line[1000];
	size_t len = strlen(name), room = sizeof(errors->text) - MORE_MAX - errors->len;
	bool cut = len > NAME_SHOWN;

	/* libyaml counts lines and columns from 0. */
	snprintf(line, sizeof(line), "%s%s%s:%zu:%zu: %s", errors->len > 0 ? "\n" : "",
		 cut ? "..." : "", cut ? name + len - NAME_SHOWN : name, at.line + 1,
		 at.column + 1, message);
	if (errors->left_out == 0 && strlen(line) < room) {
		strcpy(errors->text + errors->len, line);
		errors->len += strlen(line);
	} else {
		snprintf(errors->text + errors->len, MORE_MAX, "\n... and %zu more",
			 ++errors->left_out);
	}
}

int conf_error_nomem(struct conf_error *errors, const char *name)
{
	snprintf(errors->text, sizeof(errors->text), "%s: %s", name, err_str(E_NOMEM));
	return E_NOMEM;
}

void conf_log_warnings(const struct conf_error *errors)
{
	for (const char *line = errors->text; errors->warnings > 0 && *line != '\0';) {
		int len = (int)strcspn(line, "\n");

		log_warn(NULL, "%.*s", len, line);
		line += len + (line[len] == '\n');
	}
}

/* --- reading --- */

struct file {
	struct slice text;
	const char *name;
	struct conf_error *errors;
	int depth, documents; /* counted up to the current event */
};

static int fail_at(struct file *f, yaml_mark_t at, const char *message)
{
	conf_error_add(f->errors, f->name, at, message);
	return E_SYNTAX;
}

/* The line and column of a byte, for errors where libyaml gives only an offset. */
static yaml_mark_t mark_of_offset(struct slice text, size_t offset)
{
	yaml_mark_t at = {0};

	for (size_t i = 0; i < offset && i < text.len; i++) {
		at.column++;
		if (text.p[i] == '\n')
			at = (yaml_mark_t){.line = at.line + 1};
	}
	return at;
}

/* Adds the error that stopped the parser. */
static int fail_parser(struct file *f, const yaml_parser_t *p)
{
	char text[300];

	/* When out of memory, libyaml names no problem, and sometimes sets no error. */
	if (p->error == YAML_MEMORY_ERROR || p->problem == NULL)
		return conf_error_nomem(f->errors, f->name);
	if (p->error == YAML_READER_ERROR)
		return fail_at(f, mark_of_offset(f->text, p->problem_offset), p->problem);
	if (p->context == NULL)
		return fail_at(f, p->problem_mark, p->problem);
	snprintf(text, sizeof(text), "%s (%s that begins at line %zu)", p->problem,
		 p->context, p->context_mark.line + 1);
	return fail_at(f, p->problem_mark, text);
}

/* Updates the counts and returns what is wrong with an event, or NULL. */
static const char *problem_of(struct file *f, const yaml_event_t *event)
{
	bool scalar = event->type == YAML_SCALAR_EVENT;
	bool begins = event->type == YAML_SEQUENCE_START_EVENT ||
		      event->type == YAML_MAPPING_START_EVENT;

	f->documents += event->type == YAML_DOCUMENT_START_EVENT;
	f->depth += begins;
	f->depth -= event->type == YAML_SEQUENCE_END_EVENT ||
		    event->type == YAML_MAPPING_END_EVENT;
	static_assert(CONF_MAX_DEPTH == 16, "the message below names this limit");
	if (f->depth > CONF_MAX_DEPTH)
		return "nested more than 16 levels deep";
	if (f->documents > 1)
		return "only one document is allowed";
	if (event->type == YAML_ALIAS_EVENT)
		return "aliases are not supported: write the value out";
	/* The data of these three event types starts with the same two fields, anchor and
	 * tag. */
	if ((scalar || begins) && event->data.scalar.anchor != NULL)
		return "anchors are not supported: leave out '&...'";
	if ((scalar || begins) && event->data.scalar.tag != NULL)
		return "tags are not supported: leave out '!...'";
	if (scalar &&
	    memchr(event->data.scalar.value, 0, event->data.scalar.length) != NULL)
		return "a string must not contain a NUL byte";
	return NULL;
}

static int scan_events(struct file *f, yaml_parser_t *p)
{
	bool end = false;

	while (!end) {
		yaml_event_t event;

		if (!yaml_parser_parse(p, &event))
			return fail_parser(f, p);
		const char *problem = problem_of(f, &event);
		yaml_mark_t at = event.start_mark;
		end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
		if (problem != NULL)
			return fail_at(f, at, problem);
	}
	return f->documents > 0 ? 0 : fail_at(f, (yaml_mark_t){0}, "the file is empty");
}

/*
 * One pass over the text: loads it into *out, or only checks the events if out is NULL.
 */
static int pass(struct file *f, yaml_document_t *out)
{
	yaml_parser_t p;
	int err = 0;

	if (!yaml_parser_initialize(&p))
		return conf_error_nomem(f->errors, f->name);
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, f->text.p, f->text.len);
	if (out == NULL)
		err = scan_events(f, &p);
	else if (!yaml_parser_load(&p, out))
		err = fail_parser(f, &p);
	yaml_parser_delete(&p);
	return err;
}

int conf_yaml_load(struct slice text, const char *name, yaml_document_t *out,
		   struct conf_error *errors_out)
{
	struct file f = {.text = text, .name = name, .errors = errors_out};

	static_assert(CONF_MAX_FILE == 1 << 20, "the message below names this limit");
	if (text.len > CONF_MAX_FILE)
		return fail_at(&f, (yaml_mark_t){0}, "the file is longer than 1 MiB");
	/* A UTF-16 text begins with a byte order mark, or its ASCII characters have a
	 * zero byte. */
	if (text.len >= 2 && (text.p[0] >= 0xfe || text.p[0] == 0 || text.p[1] == 0))
		return fail_at(&f, (yaml_mark_t){0},
			       "the file is not UTF-8 but looks like UTF-16: save it as "
			       "UTF-8");
	/* Skip the byte order mark that Windows editors write. */
	if (slice_begins(text, "\xef\xbb\xbf"))
		f.text = slice_from(text, 3);
	int err = pass(&f, NULL);
	return err == 0 ? pass(&f, out) : err;
}

int conf_read(const char *path, struct buf *out, struct conf_error *errors_out)
{
	FILE *f = fopen(path, "re");
	uint8_t *to = NULL;

	buf_init_secret(out, CONF_MAX_FILE + 1); /* the file may contain secrets */
	if (f != NULL)
		to = buf_reserve(out, out->max);
	if (to != NULL)
		buf_commit(out, fread(to, 1, out->max, f));
	int err = f == NULL || ferror(f) ? E_SYS : out->err;
	if (err != 0)
		snprintf(errors_out->text, sizeof(errors_out->text), "%s: %s", path,
			 err_str(err));
	if (f != NULL)
		fclose(f);
	return err;
}
