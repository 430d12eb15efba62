/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of error codes. Functions that can fail return 0 or one of these, all
 * negative. Any thread.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

enum err {
	E_OK = 0,
	E_SYS = -1,       /* a system call failed: errno is valid */
	E_NOMEM = -2,     /* out of memory */
	E_LIMIT = -3,     /* a configured maximum would be passed */
	E_TRUNCATED = -4, /* input ends before the item does */
	E_TRAILING = -5,  /* input goes on after the item */
	E_SYNTAX = -6,    /* not well-formed */
	E_UTF8 = -7,      /* text that is not UTF-8 */
	E_DEPTH = -8,     /* nested deeper than allowed */
	E_RANGE = -9,     /* a number outside its bounds */
	E_TYPE = -10,     /* well-formed, but of another type or length than expected */
	E_UNKNOWN = -11,  /* a name or code that this side does not know */
	E_NOTFOUND = -12, /* no such object */
	E_EXISTS = -13,   /* there is one already */
	E_CLOSED = -14,   /* the peer is gone */
	E_UNSUPPORTED = -15, /* cannot be expressed, or not by this version */
	E_AGAIN = -16,       /* nothing (more) to do now; call again when there is */
	E_DB = -17, /* the database failed; its own message is logged where it happened */
	E_VALUE = -18,     /* well-formed around a value that may not be sent */
	E_SURROGATE = -19, /* text with an unpaired surrogate */
	E_BASE64 = -20,    /* text that should be base64 */
	E_NAN = -21,       /* NaN or an infinity where the encoding has neither */
};

/* A short text in lower case for an error code; for E_SYS that of errno. Never NULL. */
const char *err_str(int err);

#endif
