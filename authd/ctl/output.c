/* SPDX-License-Identifier: Apache-2.0 */
/* authctl's output: tables, fields, JSON; see ctl.h. */
#include "authd/ctl/ctl.h"

#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
	GAP = 2,        /* columns between columns */
	NARROWEST = 10, /* no column but the first is cut below this: a date */
	DEFAULT_WIDTH = 80,
};

int ctl_flush(const struct ctl *ctl)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EX_OK;
	return ctl_fail(ctl, EX_IOERR, NULL, "cannot write: %s", err_str(E_SYS));
}

int ctl_json_print(const struct ctl *ctl, json_t *items)
{
	if (items == NULL)
		return ctl_nomem(ctl);
	json_t *all = json_pack("{s:i,s:o}", "version", 1, "items", items);
	if (all == NULL)
		return ctl_nomem(ctl);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
	return ctl_flush(ctl);
}

void ctl_rows_init(struct ctl_rows *r, const char *const *headers, size_t n_columns)
{
	ASSERT(n_columns <= CTL_MAX_COLUMNS);
	*r = (struct ctl_rows){.headers = headers, .n_columns = n_columns};
}

bool ctl_rows_add(struct ctl_rows *r, const char *const *cells)
{
	if (r->n_rows == r->cap) {
		size_t cap = r->cap == 0 ? 16 : r->cap * 2;
		char **more = reallocarray(r->cells, cap * r->n_columns, sizeof(*more));
		if (more == NULL)
			return false;
		r->cells = more;
		r->cap = cap;
	}
	char **row = r->cells + r->n_rows * r->n_columns;
	for (size_t i = 0; i < r->n_columns; i++) {
		row[i] = strdup(cells[i]);
		if (row[i] != NULL)
			continue;
		while (i > 0)
			free(row[--i]);
		return false;
	}
	r->n_rows++;
	return true;
}

void ctl_rows_fini(struct ctl_rows *r)
{
	for (size_t i = 0; i < r->n_rows * r->n_columns; i++)
		free(r->cells[i]);
	free(r->cells);
	*r = (struct ctl_rows){.n_rows = 0};
}

/* The next character: its bytes, and how wide it is on a terminal. */
static size_t next_char(const char *s, size_t *width_out)
{
	wchar_t wc;
	mbstate_t state = {0};
	size_t n = mbrtowc(&wc, s, strlen(s), &state);

	if (n == 0 || n > strlen(s)) { /* not of this locale: a byte is a column */
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

/* Exactly width columns; what does not fit ends in "~". The last needs no padding. */
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
 * Takes from the widest column but the first, again and again, until all fit. The first
 * has the names, which are never cut: it gives only what the others cannot, down to the
 * width of its header.
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

/* A name that is wider than its column stands on a line of its own. */
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

static const char *const *row_at(const struct ctl_rows *r, size_t i)
{
	return (const char *const *)r->cells + i * r->n_columns;
}

static void print_table(const struct ctl_rows *r)
{
	size_t widths[CTL_MAX_COLUMNS], n = r->n_columns;

	for (size_t c = 0; c < n; c++) {
		widths[c] = text_width(r->headers[c]);
		for (size_t i = 0; i < r->n_rows; i++) {
			size_t w = text_width(row_at(r, i)[c]);
			if (w > widths[c])
				widths[c] = w;
		}
	}
	fit(widths, n, text_width(r->headers[0]), terminal_width());
	print_row(r->headers, widths, n);
	for (size_t i = 0; i < r->n_rows; i++)
		print_row(row_at(r, i), widths, n);
}

int ctl_rows_print(const struct ctl *ctl, const struct ctl_rows *r)
{
	if (ctl->format == CTL_TABLE) {
		print_table(r);
		return ctl_flush(ctl);
	}
	for (size_t i = 0; i < r->n_rows; i++)
		for (size_t c = 0; c < r->n_columns; c++)
			printf("%s%c", row_at(r, i)[c],
			       c < r->n_columns - 1 ? '\t' : '\n');
	return ctl_flush(ctl);
}
