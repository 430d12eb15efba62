/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the error codes; see err.h. No state; any thread. */
#include "common/err.h"

#include "common/base.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const texts[] = {
	[-E_OK] = "ok",
	[-E_SYS] = "system error",
	[-E_NOMEM] = "out of memory",
	[-E_LIMIT] = "over the limit",
	[-E_TRUNCATED] = "ends too early",
	[-E_TRAILING] = "trailing bytes",
	[-E_SYNTAX] = "malformed",
	[-E_UTF8] = "invalid UTF-8",
	[-E_DEPTH] = "nested too deeply",
	[-E_RANGE] = "number out of range",
	[-E_TYPE] = "wrong type or length",
	[-E_UNKNOWN] = "unknown name or code",
	[-E_NOTFOUND] = "not found",
	[-E_EXISTS] = "exists already",
	[-E_CLOSED] = "closed by peer",
	[-E_UNSUPPORTED] = "not supported",
	[-E_AGAIN] = "try again",
	[-E_DB] = "database error",
	[-E_VALUE] = "invalid value",
	[-E_SURROGATE] = "unpaired surrogate",
	[-E_BASE64] = "invalid base64",
	[-E_NAN] = "NaN or an infinity",
	[-E_FULL] = "queue full",
};
static_assert(ARRAY_LEN(texts) == 1 - E_FULL, "a text for each, and E_FULL is the last");

const char *err_str(int err)
{
	if (err == E_SYS && strerrordesc_np(errno) != NULL)
		return strerrordesc_np(errno);
	if (err > 0 || err < E_FULL)
		return "unknown error";
	return texts[-err];
}
