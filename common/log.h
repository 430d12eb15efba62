/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: one event, one line, "message key=value ...", to standard error. Any thread.
 *
 * Bytes that came from a peer go through log_quote (or a %s of its result) so that they
 * cannot forge a line. Lines that a peer can cause at will go through a log_rate.
 *
 * Logging never blocks a daemon. After log_start a thread of the log's own writes the
 * lines, and log_write only appends to a buffer of 128 KiB. While nobody reads standard
 * error, or it cannot be written, lines are dropped and counted; as soon as a line can be
 * written again, one says how many are missing. Why a thread: standard error is shared
 * with other processes, so it must not be made non-blocking; poll(2) promises nothing
 * when another process may fill the pipe first, or a terminal has room for half a line;
 * and no flag keeps a write to a slow disk from blocking.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/base.h"

enum log_level {
	LOG_LEVEL_ERROR = 0, /* needs the operator */
	LOG_LEVEL_WARN = 1,  /* will need the operator if it goes on */
	LOG_LEVEL_INFO = 2,  /* normal, and worth a line */
	LOG_LEVEL_DEBUG = 3,
	LOG_LEVEL_COUNT = 4,
};

enum log_format {
	LOG_FORMAT_TEXT = 0, /* time, level, message */
	LOG_FORMAT_JOURNAL =
		1, /* "<6>message": priorities for journald, which has the time */
};

/* Before the first thread starts. */
void log_init(enum log_level level, enum log_format format);

/*
 * Starts the thread that writes the log; it blocks all signals. Call this once, before
 * any other thread starts. Until then the caller writes its own lines, and may block.
 * E_NOMEM.
 */
int log_start(void) MUSTCHECK;
/*
 * Before the process ends: waits for what is not written yet, 1 s at most. What is logged
 * afterwards is lost. Without log_start it does nothing.
 */
void log_end(void);

/* Lines since log_start. */
struct log_counters {
	uint64_t written;
	uint64_t dropped;
};
struct log_counters log_counters(void);
/* Logs them. */
void log_log_counters(void);

bool log_enabled(enum log_level level);

/*
 * One line. prefix names the object that the line is about ("w2 c1781") and may be NULL.
 * Lines over 2 KiB are cut.
 */
void log_write(enum log_level level, const char *prefix, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

#define log_error(prefix, ...) log_write(LOG_LEVEL_ERROR, prefix, __VA_ARGS__)
#define log_warn(prefix, ...)  log_write(LOG_LEVEL_WARN, prefix, __VA_ARGS__)
#define log_info(prefix, ...)  log_write(LOG_LEVEL_INFO, prefix, __VA_ARGS__)
#define log_debug(prefix, ...)                                                           \
	do {                                                                             \
		if (log_enabled(LOG_LEVEL_DEBUG))                                        \
			log_write(LOG_LEVEL_DEBUG, prefix, __VA_ARGS__);                 \
	} while (0)

enum { LOG_QUOTE_MAX = 200 }; /* a quoted text is cut to fit, and then ends in "..." */

struct log_quoted {
	char text[LOG_QUOTE_MAX];
};

/*
 * Foreign bytes as they may stand in a line: printable ASCII as it is, but for '"', '=',
 * '\\' and (in log_quote) the space; everything else as \xNN. log_quote is for a bare
 * value, log_quote_text for one between quotes. Use as log_quote(s).text in the arguments
 * of log_write.
 */
struct log_quoted log_quote(struct slice s);
struct log_quoted log_quote_text(struct slice s);

/* At most burst lines a second for one kind of event; the rest is counted. */
struct log_rate {
	uint64_t second;     /* the second that the count below belongs to */
	unsigned burst;      /* lines a second; set by the owner */
	unsigned written;    /* in this second */
	unsigned suppressed; /* since the last line that was written */
};

/*
 * May this line be written? If so, *suppressed_out says how many were not, since the
 * last. now_ms is a monotonic clock. The owner's thread only.
 */
bool log_rate_ok(struct log_rate *rate, uint64_t now_ms, unsigned *suppressed_out);

/*
 * log_write at this rate: a format, which ends in " suppressed=%u" for the number of
 * lines that were not written, and its arguments but for that number. They are evaluated
 * only if the line is written.
 */
#define log_limited(rate, now_ms, level, prefix, ...)                                    \
	do {                                                                             \
		unsigned dropped_;                                                       \
		if (log_rate_ok(rate, now_ms, &dropped_))                                \
			log_write(level, prefix, __VA_ARGS__, dropped_);                 \
	} while (0)

#endif
