/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: one event, one line, "message key=value ...", written to standard error. Any
 * thread.
 *
 * Pass bytes from a peer through log_quote, so that they cannot forge a line. Use
 * log_limited for lines that a peer can cause at will.
 *
 * Logging never blocks a daemon. After log_start the log's own thread writes the lines,
 * and log_write only appends to a buffer of 128 KiB. When the buffer is full, because
 * standard error cannot be written, lines are dropped and counted; the next line that can
 * be written reports how many.
 *
 * A thread is needed for three reasons. Standard error is shared with other processes, so
 * it must not be made non-blocking. A write may block even if poll(2) has reported room,
 * since another process may fill the pipe first, or a terminal may have room for half a
 * line. And no flag keeps a write to a slow disk from blocking.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/counters.h"

enum log_level {
	LOG_LEVEL_ERROR = 0, /* an operator must act */
	LOG_LEVEL_WARN = 1,  /* an operator must act if this goes on */
	LOG_LEVEL_INFO = 2,  /* a normal event that deserves a line */
	LOG_LEVEL_DEBUG = 3,
	LOG_LEVEL_COUNT = 4,
};
/* The names of the levels. NULL ends the list. */
extern const char *const log_level_names[LOG_LEVEL_COUNT + 1];
/* The priorities of syslog, which journald reads between '<' and '>'. */
extern const int log_priorities[LOG_LEVEL_COUNT];

enum log_format {
	LOG_FORMAT_TEXT = 0, /* time, level, message */
	/* "<6>message": a priority for journald, which adds the time */
	LOG_FORMAT_JOURNAL = 1,
};

/* Call it before the first thread starts. */
void log_init(enum log_level level, enum log_format format);

/*
 * Starts the thread that writes the log. Call it once, before any other thread starts.
 * The new thread blocks all signals. Before log_start, log_write writes lines itself and
 * may block. Returns 0 or E_NOMEM.
 */
int log_start(void) MUSTCHECK;
/*
 * Waits until all lines are written, 1 s at most. Call it before the process ends. Lines
 * logged afterwards are lost. Without log_start it does nothing.
 */
void log_end(void);

enum { LOG_LINE_MAX = 2048 }; /* bytes of a line, with time, level and prefix */

#define LOG_COUNTERS(X)                                                                  \
	X(written, COUNTER, "lines written since the start")                             \
	X(dropped, COUNTER, "lines dropped, because standard error could not be written")

struct log_counters {
	LOG_COUNTERS(COUNTER_FIELD)
};
struct log_counters log_counters(void);
extern const struct counter_table log_counter_table; /* describes struct log_counters */

bool log_enabled(enum log_level level);

/*
 * Writes one line. prefix names the object that the line is about ("w2 c1781") and may be
 * NULL. Lines longer than 2 KiB are cut.
 */
void log_write(enum log_level level, const char *prefix, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

#define log_error(prefix, ...) log_write(LOG_LEVEL_ERROR, prefix, __VA_ARGS__)
#define log_warn(prefix, ...)  log_write(LOG_LEVEL_WARN, prefix, __VA_ARGS__)
#define log_info(prefix, ...)  log_write(LOG_LEVEL_INFO, prefix, __VA_ARGS__)
#define log_debug(prefix, ...) log_write(LOG_LEVEL_DEBUG, prefix, __VA_ARGS__)

enum { LOG_QUOTE_MAX = 200 }; /* a longer quoted text is cut and ends with "..." */

struct log_quoted {
	char text[LOG_QUOTE_MAX];
};

/*
 * Escapes bytes from outside the program for a log line. Printable ASCII stays as it is,
 * except '"', '=' and '\\', and in log_quote the space; all other bytes become \xNN. Use
 * log_quote for a bare value and log_quote_text between quotes: log_quote(s).text as an
 * argument of log_write.
 */
struct log_quoted log_quote(struct slice s);
struct log_quoted log_quote_text(struct slice s);
/*
 * Like log_quote_text, but '=' stays, so that people can read the name of a certificate,
 * such as CN=client01. In a log line put it behind all other keys that matter: a name can
 * look like one of them.
 */
struct log_quoted log_quote_name(struct slice s);

/* Limits one kind of event to burst lines per second and counts the rest. */
struct log_rate {
	uint64_t second;     /* the second that `written` counts in */
	unsigned burst;      /* lines per second; the owner sets it */
	unsigned written;    /* lines in this second */
	unsigned suppressed; /* lines suppressed since the last written one */
};

/*
 * True: write the line; *suppressed_out is the number of lines suppressed since the last
 * written one. False: do not write it; it was counted as suppressed. now_ms is the time
 * of a monotonic clock. Called by the owner's thread only.
 */
bool log_rate_ok(struct log_rate *rate, uint64_t now_ms, unsigned *suppressed_out);

/*
 * Logs a line at a limited rate. The format must end with " suppressed=%u"; the macro
 * adds the argument for it, the number of suppressed lines. The arguments are evaluated
 * only if the line is written.
 */
#define log_limited(rate, now_ms, level, prefix, ...)                                    \
	do {                                                                             \
		unsigned dropped_;                                                       \
		if (log_rate_ok(rate, now_ms, &dropped_))                                \
			log_write(level, prefix, __VA_ARGS__, dropped_);                 \
	} while (0)

#endif
