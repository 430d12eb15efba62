/* SPDX-License-Identifier: Apache-2.0 */
/* authctl: prints tables, fields and JSON; see ctl.h. Main thread. */
#include "authd/ctl/ctl.h"

#include "common/err.h"
#include "proto/transcode.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
	GAP = 2,        /* spaces between two columns */
	NARROWEST = 10, /* the width of a date; only the first column may get narrower */
	DEFAULT_WIDTH = 80,
};

int ctl_flush(const struct ctl *ctl)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EX_OK;
	return ctl_fail(ctl, EX_IOERR, "cannot write to standard output: %s",
			err_str(E_SYS));
}

void ctl_put_text(const struct ctl *ctl, struct buf *b, struct slice text)
{
	for (size_t i = 0; i < text.len;) {
		size_t n = admin_control_len(slice_of(text.p + i, text.len - i));
		if (n == 0 || ctl->format != CTL_TABLE)
			buf_put_u8(b, text.p[i++]);
		else
			for (size_t end = i + n; i < end; i++)
				buf_printf(b, "\\x%02x", text.p[i]);
	}
}

/* --- JSON --- */

void ctl_put_json(struct buf *b, struct slice item)
{
	size_t start = b->len;

	if (transcode(SERIALIZER_MSGPACK, item, 1, SERIALIZER_JSON, b) != 0 &&
	    b->err == E_UNSUPPORTED) {
		b->err = 0;
		b->len = start;
		buf_put_str(b, "null");
	}
}

json_t *ctl_json(struct slice item)
{
	struct buf text;
	json_t *j = NULL;

	buf_init(&text, 16 * AUTH_MAX_MESSAGE);
	ctl_put_json(&text, item);
	if (text.err == 0)
		j = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY, NULL);
	buf_fini(&text);
	return j == NULL ? json_null() : j;
}

int ctl_print_json(const struct ctl *ctl, json_t *items)
{
	json_t *all = json_pack("{s:i,s:o}", "version", 1, "items", items);

	if (all == NULL)
		return ctl_nomem(ctl);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
	return ctl_flush(ctl);
}

/* --- tables --- */

/*
 * Returns the number of bytes of the next character. *width_out gets its width on the
 * terminal.
 */
static size_t next_char(const char *s, size_t *width_out)
{
	wchar_t wc;
	mbstate_t state = {0};
	size_t n = mbrtowc(&wc, s, strlen(s), &state);

	/* Invalid in this locale: count the byte as one column. */
	if (n == 0 || n > strlen(s)) {
		*width_out = 1;
		return 1;
	}
	int w = wcwidth(wc);
	*width_out = w < 0 ? 0 : (size_t)w;
	return n;
}

static size_t text_width(const char *s)
{
	size_t sum = 0, width;

	while (*s != '\0') {
		s += next_char(s, &width);
		sum += width;
	}
	return sum;
}

/*
 * Prints a cell of exactly width columns. A text that does not fit is cut and ends with
 * "~". The last cell of a row gets no padding.
 */
static void print_cell(const char *s, size_t width, bool last)
{
	bool cut = text_width(s) > width;
	size_t room = width - (cut ? 1 : 0), w;

	while (*s != '\0') {
		size_t n = next_char(s, &w);
		if (w > room)
			break;
		fwrite(s, 1, n, stdout);
		room -= w;
		s += n;
	}
	if (cut)
		putchar('~');
	for (; !last && room > 0; room--)
		putchar(' ');
}

static size_t terminal_width(void)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");
	unsigned long n = columns == NULL ? 0 : strtoul(columns, NULL, 10);

	if (n > 0 && n < 10000)
		return n;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return DEFAULT_WIDTH;
}

/*
 * Narrows the widest column, except the first, until the row fits. The first column has
 * the authids. It is narrowed only if the others are at their minimum, and not below the
 * width of its header. Authids are not cut: print_row gives a long one its own line.
 */
static void fit(size_t *widths, size_t n, size_t first, size_t available)
{
	size_t sum = GAP * (n - 1);

	for (size_t i = 0; i < n; i++)
		sum += widths[i];
	while (sum > available) {
		size_t widest = n - 1;
		for (size_t i = 1; i < n; i++)
			if (widths[i] > widths[widest])
				widest = i;
		if (widths[widest] <= NARROWEST)
			widest = 0;
		if (widths[widest] <= first)
			return;
		widths[widest]--;
		sum--;
	}
}

/* Prints a row. An authid that is wider than its column gets a line of its own. */
static void print_row(const char *const *cells, const size_t *widths, size_t n)
{
	bool apart = text_width(cells[0]) > widths[0];

	printf("%s%s", apart ? cells[0] : "", apart ? "\n" : "");
	for (size_t i = 0; i < n; i++) {
		print_cell(i == 0 && apart ? "" : cells[i], widths[i], i == n - 1);
		if (i < n - 1)
			printf("%*s", GAP, "");
	}
	putchar('\n');
}

/* Reads the cells of the row at *pos and moves *pos past the row. False at the end. */
static bool next_row(const char **pos, const char *end, const char **row, size_t n)
{
	if (*pos == end)
		return false;
	for (size_t i = 0; i < n; i++) {
		row[i] = *pos;
		*pos += strlen(*pos) + 1;
	}
	return true;
}

static void print_table(const char *text, const char *end, size_t n)
{
	const char *row[CTL_MAX_COLUMNS];
	size_t widths[CTL_MAX_COLUMNS] = {0}, first = 0;

	for (const char *pos = text; next_row(&pos, end, row, n);) {
		for (size_t i = 0; i < n; i++) {
			size_t w = text_width(row[i]);
			widths[i] = w > widths[i] ? w : widths[i];
		}
		if (first == 0)
			first = text_width(row[0]); /* the header's width */
	}
	fit(widths, n, first, terminal_width());
	while (next_row(&text, end, row, n))
		print_row(row, widths, n);
}

int ctl_print_rows(const struct ctl *ctl, const struct buf *cells, size_t n_columns)
{
	const char *text = (const char *)cells->data, *end = text + cells->len;
	const char *row[CTL_MAX_COLUMNS];

	if (cells->err != 0)
		return ctl_nomem(ctl);
	if (ctl->format == CTL_TABLE)
		print_table(text, end, n_columns);
	else
		while (next_row(&text, end, row, n_columns))
			for (size_t i = 0; i < n_columns; i++)
				printf("%s%c", row[i], i < n_columns - 1 ? '\t' : '\n');
	return ctl_flush(ctl);
}
