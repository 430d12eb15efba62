/* SPDX-License-Identifier: Apache-2.0 */
/* Writes and reads times; see timestamp.h. No state; any thread. */
#include "common/timestamp.h"

#include "common/err.h"

#include <stdio.h>
#include <time.h>

struct timestamp_text timestamp_text(uint64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct timestamp_text out = {""};
	struct tm tm;
	size_t n = 0;

	/* it only fails for years that do not fit in an int */
	if (gmtime_r(&seconds, &tm) != NULL)
		n = strftime(out.text, sizeof(out.text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out.text + n, sizeof(out.text) - n, ".%03uZ",
		 (unsigned)(unix_ms % 1000));
	return out;
}

/* Reads exactly n digits at *p, and advances it. -1 if they are not there. */
static int digits(struct slice *p, size_t n)
{
	int value = 0;

	if (p->len < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		unsigned digit = (unsigned)p->p[i] - '0';
		if (digit > 9)
			return -1;
		value = value * 10 + (int)digit;
	}
	*p = slice_of(p->p + n, p->len - n);
	return value;
}

/* Skips one of the characters in `any`. False if none of them is there. */
static bool skip(struct slice *p, const char *any)
{
	if (p->len == 0 || p->p[0] == '\0' || strchr(any, p->p[0]) == NULL)
		return false;
	*p = slice_of(p->p + 1, p->len - 1);
	return true;
}

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in(int year, int month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 to this date. */
static int64_t days_since_1970(int year, int month, int day)
{
	/* leap years before this year, counted from the year 0, which is one */
	int before = year - 1;
	int leaps = year == 0 ? 0 : before / 4 - before / 100 + before / 400 + 1;
	int64_t days = INT64_C(365) * year + leaps - 719528;

	for (int m = 1; m < month; m++)
		days += days_in(year, m);
	return days + day - 1;
}

/* Reads the date and a T. E_SYNTAX. */
MUSTCHECK
static int read_date(struct slice *p, int64_t *days_out)
{
	int year = digits(p, 4);
	bool ok = skip(p, "-");
	int month = digits(p, 2);
	ok = skip(p, "-") && ok;
	int day = digits(p, 2);

	/* RFC 3339 also allows a space instead of the T */
	if (!skip(p, "Tt ") || !ok || year < 0 || month < 1 || month > 12 || day < 1 ||
	    day > days_in(year, month))
		return E_SYNTAX;
	*days_out = days_since_1970(year, month, day);
	return 0;
}

/* Reads hours and minutes. False if they are not there, or too large. */
static bool read_minutes(struct slice *p, int *out)
{
	int hours = digits(p, 2);
	bool ok = skip(p, ":");
	int minutes = digits(p, 2);

	*out = hours * 60 + minutes;
	return ok && hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

/* Reads decimals of a second. */
static bool read_decimals(struct slice *p, struct timestamp *to)
{
	size_t n = 0;

	to->ns = 0;
	to->between = false;
	if (!skip(p, "."))
		return true;
	for (uint32_t scale = 100000000; n < p->len && is_digit(p->p[n]); n++) {
		unsigned digit = p->p[n] - '0';
		to->ns += digit * scale;
		to->between |= scale == 0 && digit != 0;
		scale /= 10;
	}
	*p = slice_of(p->p + n, p->len - n);
	return n > 0;
}

/* Reads the offset from UTC, in minutes. */
static bool read_offset(struct slice *p, int *out)
{
	*out = 0;
	if (skip(p, "Zz"))
		return true;
	bool west = p->len > 0 && p->p[0] == '-';
	if (!skip(p, "+-") || !read_minutes(p, out))
		return false;
	*out = west ? -*out : *out;
	return true;
}

int timestamp_parse(struct slice text, struct timestamp *out)
{
	struct slice p = text;
	struct timestamp t;
	int minutes, seconds, offset;
	int64_t days;

	if (read_date(&p, &days) != 0 || !read_minutes(&p, &minutes) || !skip(&p, ":"))
		return E_SYNTAX;
	seconds = digits(&p, 2);
	if (seconds < 0 || seconds > 60 || !read_decimals(&p, &t) ||
	    !read_offset(&p, &offset) || p.len > 0)
		return E_SYNTAX;
	t.seconds = (days * 1440 + minutes - offset) * 60 + seconds;
	t.leap = seconds == 60;
	*out = t;
	return 0;
}

int timestamp_read(struct slice text, int64_t *ms_out, bool *between_out)
{
	struct timestamp t;
	int err = timestamp_parse(text, &t);

	if (err != 0)
		return err;
	*ms_out = t.seconds * 1000 + t.ns / 1000000;
	*between_out = t.between || t.ns % 1000000 != 0;
	return 0;
}
