/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of error codes. A function that can fail returns 0 or one of these negative
 * codes. Any thread.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

enum err {
	E_OK = 0,
	E_SYS = -1,       /* a system call failed: errno is valid */
	E_NOMEM = -2,     /* out of memory */
	E_LIMIT = -3,     /* a configured maximum would be exceeded */
	E_TRUNCATED = -4, /* input ends before the item does */
	E_TRAILING = -5,  /* input continues after the item */
	E_SYNTAX = -6,    /* not well-formed */
	E_UTF8 = -7,      /* text that is not UTF-8 */
	E_DEPTH = -8,     /* nested deeper than allowed */
	E_RANGE = -9,     /* a number or length outside its bounds */
	E_TYPE = -10,     /* well-formed, but of another type or length than expected */
	E_UNKNOWN = -11,  /* a name or code that this program does not know */
	E_NOTFOUND = -12, /* no such object */
	E_EXISTS = -13,   /* the object exists already */
	E_CLOSED = -14,   /* the peer has closed the connection */
	E_UNSUPPORTED = -15, /* cannot be expressed, or not implemented */
	E_AGAIN = -16,       /* nothing to do now; call again later */
	E_DB = -17,          /* the database failed; its message has been logged */
	E_VALUE = -18,       /* well-formed, but the value is not allowed */
	E_SURROGATE = -19,   /* text with an unpaired surrogate */
	E_BASE64 = -20,      /* text that should be base64, but is not */
	E_NAN = -21,         /* NaN or an infinity, which the encoding cannot express */
	E_FULL = -22,        /* a queue has no room left */
};

/* A short lower-case text for an error code. For E_SYS, the text of errno. Never NULL. */
const char *err_str(int err);

#endif
