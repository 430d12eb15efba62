/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes log lines to standard error; see log.h. Any thread may log. The settings are
 * written once, before other threads start.
 *
 * There are two buffers. Callers append whole lines to one while the writer thread writes
 * the other. The lock is held only to append a line or to swap the buffers, so a write
 * that blocks delays the writer thread only.
 */
#include "common/log.h"

#include "common/err.h"
#include "common/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	BUFFER_BYTES = 128 * 1024,
	WRITER_STACK = 128 * 1024,
	END_MS = 1000, /* how long log_end waits for the writer */
};

static enum log_level max_level = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;

const char *const log_level_names[] = {"error", "warn", "info", "debug", NULL};
const int log_priorities[] = {3, 4, 6, 7};

void log_init(enum log_level level, enum log_format format)
{
	max_level = level;
	line_format = format;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

/* Whole lines that the writer has not written yet. */
struct lines {
	size_t len;
	uint64_t dropped; /* lines that did not fit after these */
	char text[BUFFER_BYTES];
};

static struct {
	pthread_mutex_t lock; /* guards everything except running and thread */
	pthread_cond_t some;  /* signalled when there is a line, or at the end */
	struct lines buffers[2];
	unsigned filling; /* the buffer that callers append to */
	bool ending;
	struct log_counters counters;
	bool running; /* the writer exists; set before other threads start */
	pthread_t thread;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER};

/* Writes the start of a line: time and level, or a priority for journald. */
static size_t put_head(char *line, size_t cap, enum log_level level)
{
	if (line_format == LOG_FORMAT_JOURNAL)
		return (size_t)snprintf(line, cap, "<%d>", log_priorities[level]);

	struct timespec ts;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	size_t n = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(line + n, cap - n, ".%03ldZ %-5s ",
				    ts.tv_nsec / 1000000, log_level_names[level]);
}

/* --- the writer --- */

/* Returns the number of bytes written; fewer than n only after an error. */
static size_t write_some(const char *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t written = write(STDERR_FILENO, p + done, n - done);
		if (written > 0) {
			done += (size_t)written;
		} else if (written == -1 && errno == EAGAIN) {
			/* Another process has made the pipe or terminal non-blocking. */
			struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
			poll(&fd, 1, -1);
		} else if (written == 0 || errno != EINTR) {
			break;
		}
	}
	return done;
}

static size_t count_lines(const char *p, size_t n)
{
	size_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	return lines;
}

/*
 * Writes whole lines and returns how many were lost. If a write fails within a line, the
 * next call ends that line first.
 */
static size_t write_lines(const char *p, size_t n)
{
	static bool mid_line;

	if (mid_line && write_some("\n", 1) == 0)
		return count_lines(p, n);
	size_t done = write_some(p, n);
	mid_line = done > 0 ? p[done - 1] != '\n' : false;
	return count_lines(p + done, n - done);
}

/*
 * Writes a buffer in pieces of at most PIPE_BUF bytes, which no other writer to the same
 * pipe can interrupt. Returns how many lines were lost.
 */
static size_t write_buffer(const struct lines *l)
{
	size_t lost = 0;

	for (size_t at = 0, n; at < l->len; at += n) {
		/* A line is at most LOG_LINE_MAX long, so a piece holds at least
		 * one. */
		n = min_size(l->len - at, PIPE_BUF);
		while (l->text[at + n - 1] != '\n')
			n--;
		lost += write_lines(l->text + at, n);
	}
	return lost;
}

/* Writes how many lines were dropped. False if this line was lost too. */
static bool report_dropped(uint64_t n)
{
	char line[160];
	size_t len = put_head(line, sizeof(line), LOG_LEVEL_WARN);

	len += (size_t)snprintf(line + len, sizeof(line) - len,
				"log lines dropped count=%" PRIu64 "\n", n);
	return write_lines(line, len) == 0;
}

/* Waits for lines and takes the buffer that has them. NULL at the end. */
static struct lines *take_lines(void)
{
	struct lines *l;

	pthread_mutex_lock(&sink.lock);
	l = &sink.buffers[sink.filling];
	while (l->len == 0 && !sink.ending)
		pthread_cond_wait(&sink.some, &sink.lock);
	if (l->len > 0)
		sink.filling = 1 - sink.filling;
	else
		l = NULL;
	pthread_mutex_unlock(&sink.lock);
	return l;
}

static void *run_writer(void *arg)
{
	uint64_t unreported = 0; /* dropped lines */
	struct lines *l;

	while ((l = take_lines()) != NULL) {
		if (unreported > 0 && report_dropped(unreported))
			unreported = 0;
		size_t all = count_lines(l->text, l->len);
		size_t lost = write_buffer(l);
		unreported += lost + l->dropped;
		/* No lock is needed: callers use this buffer only after the next
		 * take_lines. */
		l->len = 0;
		l->dropped = 0;
		pthread_mutex_lock(&sink.lock);
		sink.counters.written += all - lost;
		sink.counters.dropped += lost;
		pthread_mutex_unlock(&sink.lock);
		if (unreported > 0 && report_dropped(unreported))
			unreported = 0;
	}
	return arg;
}

int log_start(void)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr) != 0)
		return E_NOMEM;
	pthread_attr_setstacksize(&attr, WRITER_STACK);
	/* The thread blocks all signals, so SIGPIPE and SIGXFSZ cannot end the process,
	 * and SIGTTOU cannot stop it: write(2) returns instead. */
	sink.running = thread_start(&sink.thread, &attr, run_writer, NULL) == 0;
	pthread_attr_destroy(&attr);
	return sink.running ? 0 : E_NOMEM;
}

void log_end(void)
{
	struct timespec until;

	pthread_mutex_lock(&sink.lock);
	bool first = sink.running && !sink.ending;
	sink.ending = true;
	pthread_cond_signal(&sink.some);
	pthread_mutex_unlock(&sink.lock);
	/* Only the first call waits. assert_failed may call this on any thread. */
	if (!first)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_MS / 1000;
	/* If the writer hangs, it ends with the process. */
	(void)pthread_timedjoin_np(sink.thread, NULL, &until);
}

/*
 * Adds a line to the buffer, or drops it if the buffer is full. Never waits for the
 * writer.
 */
static void append_line(const char *line, size_t n)
{
	pthread_mutex_lock(&sink.lock);
	struct lines *l = &sink.buffers[sink.filling];
	if (n > sizeof(l->text) - l->len) {
		l->dropped++;
		sink.counters.dropped++;
	} else {
		memcpy(l->text + l->len, line, n);
		l->len += n;
		if (l->len == n)
			pthread_cond_signal(&sink.some);
	}
	pthread_mutex_unlock(&sink.lock);
}

struct log_counters log_counters(void)
{
	pthread_mutex_lock(&sink.lock);
	struct log_counters c = sink.counters;
	pthread_mutex_unlock(&sink.lock);
	return c;
}

#define X(name, type, help) {#name, help, type, offsetof(struct log_counters, name)},
const struct counter_table log_counter_table =
	COUNTER_TABLE(struct log_counters, LOG_COUNTERS(X));
#undef X

void assert_failed(const char *file, int line, const char *cond)
{
	log_error(NULL, "ASSERT failed at %s:%d: %s", file, line, cond);
	log_end();
	abort();
}

/* --- lines --- */

void log_write(enum log_level level, const char *prefix, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
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
	/* vsnprintf returns the length of the whole text, even if it did not fit. */
	n = min_size(n + (size_t)body, sizeof(line) - 1);
	line[n++] = '\n';
	if (sink.running)
		append_line(line, n);
	else
		write_some(line, n);
}

/* Escapes what is not printable ASCII from first_plain on, or is one of `special`. */
static struct log_quoted quote(struct slice s, uint8_t first_plain, const char *special)
{
	static const char hex[] = "0123456789abcdef";
	struct log_quoted q;
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];
		bool plain = c >= first_plain && c < 0x7f && strchr(special, c) == NULL;
		/* Keep room for "..." and the NUL. */
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
	return quote(s, ' ' + 1, "\"=\\");
}

struct log_quoted log_quote_text(struct slice s)
{
	return quote(s, ' ', "\"=\\");
}

struct log_quoted log_quote_name(struct slice s)
{
	return quote(s, ' ', "\"\\");
}

bool log_rate_ok(struct log_rate *rate, uint64_t now_ms, unsigned *suppressed_out)
{
	uint64_t second = now_ms / 1000;

	if (second != rate->second) {
		rate->second = second;
		rate->written = 0;
	}
	if (rate->written >= rate->burst) {
		rate->suppressed++;
		return false;
	}
	rate->written++;
	*suppressed_out = rate->suppressed;
	rate->suppressed = 0;
	return true;
}
