/* SPDX-License-Identifier: Apache-2.0 */
/* Converts dates; see date.h. No state; any thread. */
#include "proto/date.h"

#include "common/err.h"
#include "common/timestamp.h"
#include "proto/decimal.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum {
	NS = 1000000000, /* in a second */
	NS_DIGITS = 9,
};

void date_pack(const struct date *d, uint8_t to[DATE_BYTES])
{
	put_be32(to, d->ns);
	put_be64(to + 4, (uint64_t)d->seconds);
}

void date_unpack(const uint8_t from[DATE_BYTES], struct date *out)
{
	out->ns = get_be32(from);
	out->seconds = (int64_t)get_be64(from + 4);
}

int date_from_text(struct slice text, struct date *out)
{
	struct timestamp t;

	if (timestamp_parse(text, &t) != 0 || t.leap || t.between)
		return E_UNSUPPORTED;
	*out = (struct date){t.seconds, t.ns};
	return 0;
}

int date_from_double(double seconds, struct date *out)
{
	double size = fabs(seconds);
	int exponent;

	/* false for NaN, too */
	if (!(size < 0x1p63))
		return E_UNSUPPORTED;
	if (size == trunc(size)) {
		*out = (struct date){(int64_t)seconds, 0};
		return 0;
	}
	uint64_t digits = decimal_shortest(size, &exponent);
	if (exponent < -NS_DIGITS)
		return E_UNSUPPORTED;
	/* There is a fraction, so the exponent is negative. */
	uint64_t scale = 1;
	for (int i = exponent; i < 0; i++)
		scale *= 10;
	int64_t whole = (int64_t)(digits / scale);
	uint32_t ns = (uint32_t)(digits % scale * (NS / scale));
	*out = seconds > 0 ? (struct date){whole, ns}
			   : (struct date){-whole - 1, NS - ns};
	return 0;
}

size_t date_to_text(const struct date *d, char to[DATE_TEXT])
{
	time_t seconds = (time_t)d->seconds;
	struct tm tm;

	/* gmtime_r fails for years that do not fit in an int. */
	if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099)
		return 0;
	size_t len = strftime(to + 4, DATE_TEXT - 4, "-%m-%dT%H:%M:%S", &tm) + 4;
	for (int i = 3, year = tm.tm_year + 1900; i >= 0; i--, year /= 10)
		to[i] = (char)('0' + year % 10);
	if (d->ns != 0) {
		len += (size_t)snprintf(to + len, DATE_TEXT - len, ".%09u", d->ns);
		while (to[len - 1] == '0')
			len--;
	}
	to[len++] = 'Z';
	return len;
}
