/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to standard error; see log.h. The settings are written once, before threads
 * start. */
#include "common/log.h"

#include "common/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static enum log_level max_level = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;

static const struct {
	const char *name;
	int priority; /* syslog's, as journald reads it */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARN] = {"warn", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};
static_assert(ARRAY_LEN(levels) == LOG_LEVEL_COUNT, "a row for each level");

void log_init(enum log_level level, enum log_format format)
{
	max_level = level;
	line_format = format;
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			return (int)i;
	return E_UNKNOWN;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

static size_t put_head(char *line, size_t cap, enum log_level level)
{
	if (line_format == LOG_FORMAT_JOURNAL)
		return (size_t)snprintf(line, cap, "<%d>", levels[level].priority);

	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(line + n, cap - n, ".%03ldZ %-5s ",
				    ts.tv_nsec / 1000000, levels[level].name);
}

void log_write(enum log_level level, const char *prefix, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (!log_enabled(level))
		return;
	size_t n = put_head(line, sizeof(line), level);
	if (prefix != NULL && prefix[0] != '\0')
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%.64s ", prefix);
	va_start(ap, fmt);
	int body = vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	if (body < 0)
		return;
	n = min_size(n + (size_t)body, sizeof(line) - 1);
	line[n++] = '\n';
	/* a log that cannot be written must not stop the program */
	ssize_t ignored = write(STDERR_FILENO, line, n);
	(void)ignored;
}

static struct log_quoted quote(struct slice s, uint8_t first_plain)
{
	static const char hex[] = "0123456789abcdef";
	struct log_quoted q;
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];
		bool plain =
			c >= first_plain && c < 0x7f && c != '"' && c != '=' && c != '\\';
		if (n + (plain ? 1 : 4) + 4 > sizeof(q.text)) {
			memcpy(q.text + n, "...", 3);
			n += 3;
			break;
		}
		if (plain) {
			q.text[n++] = (char)c;
			continue;
		}
		q.text[n++] = '\\';
		q.text[n++] = 'x';
		q.text[n++] = hex[c >> 4];
		q.text[n++] = hex[c & 15];
	}
	q.text[n] = '\0';
	return q;
}

struct log_quoted log_quote(struct slice s)
{
	return quote(s, ' ' + 1);
}

struct log_quoted log_quote_text(struct slice s)
{
	return quote(s, ' ');
}

bool log_rate_ok(struct log_rate *r, uint64_t now_ms, unsigned *dropped_out)
{
	uint64_t second = now_ms / 1000;

	if (second != r->second) {
		r->second = second;
		r->written = 0;
	}
	if (r->written >= r->burst) {
		r->dropped++;
		return false;
	}
	r->written++;
	*dropped_out = r->dropped;
	r->dropped = 0;
	return true;
}
