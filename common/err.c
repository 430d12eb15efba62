/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of the error codes. */
#include "common/err.h"

#include <errno.h>
#include <string.h>

const char *err_str(int err)
{
	switch ((enum err)err) {
	case E_OK:
		return "ok";
	case E_SYS:
		return strerrordesc_np(errno) != NULL ? strerrordesc_np(errno)
						      : "system error";
	case E_NOMEM:
		return "out of memory";
	case E_LIMIT:
		return "over the limit";
	case E_TRUNCATED:
		return "ends too early";
	case E_TRAILING:
		return "trailing bytes";
	case E_SYNTAX:
		return "malformed";
	case E_UTF8:
		return "invalid UTF-8";
	case E_DEPTH:
		return "nested too deep";
	case E_RANGE:
		return "number out of range";
	case E_TYPE:
		return "wrong type or length";
	case E_UNKNOWN:
		return "unknown name or code";
	case E_NOTFOUND:
		return "not found";
	case E_EXISTS:
		return "exists already";
	case E_CLOSED:
		return "closed by peer";
	case E_TIMEOUT:
		return "timed out";
	case E_DENIED:
		return "not allowed";
	case E_UNSUPPORTED:
		return "not supported";
	case E_AGAIN:
		return "try again";
	case E_DB:
		return "database error";
	case E_VALUE:
		return "invalid value";
	case E_SURROGATE:
		return "half of a surrogate pair";
	case E_BASE64:
		return "invalid base64";
	case E_NAN:
		return "NaN or an infinity";
	}
	return "unknown error";
}
