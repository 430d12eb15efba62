/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of error codes. A function that can fail returns 0 or one of these negative
 * codes. Any thread.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

/* Each row: the code's name without E_; its value; a short lower-case text. */
#define ERRORS(X)                                                                        \
	X(OK, 0, "ok")                                                                   \
	X(SYS, -1, "system error") /* a system call failed: errno is valid */            \
	X(NOMEM, -2, "out of memory")                                                    \
	X(LIMIT, -3, "over the limit")     /* a configured maximum would be exceeded */  \
	X(TRUNCATED, -4, "ends too early") /* input ends before the item does */         \
	X(TRAILING, -5, "trailing bytes")  /* input continues after the item */          \
	X(SYNTAX, -6, "malformed")         /* not well-formed */                         \
	X(UTF8, -7, "invalid UTF-8")       /* text that is not UTF-8 */                  \
	X(DEPTH, -8, "nested too deeply")  /* nested deeper than allowed */              \
	X(RANGE, -9,                                                                     \
	  "number or length out of range")      /* or a length outside its bounds */     \
	X(TYPE, -10, "wrong type or length")    /* well-formed, but not as expected */   \
	X(UNKNOWN, -11, "unknown name or code") /* unknown to this program */            \
	X(NOTFOUND, -12, "not found")           /* no such object */                     \
	X(EXISTS, -13, "already exists")        /* the object already exists */          \
	X(CLOSED, -14, "closed by peer")        /* the peer has closed the connection */ \
	/* by the encoding, or by this program */                                        \
	X(UNSUPPORTED, -15, "not supported")                                             \
	X(AGAIN, -16, "try again")     /* nothing to do now; call again later */         \
	X(DB, -17, "database error")   /* the database's message has been logged */      \
	X(VALUE, -18, "invalid value") /* well-formed, but not allowed */                \
	X(SURROGATE, -19, "unpaired surrogate") /* in a text */                          \
	X(BASE64, -20, "invalid base64")        /* text that should be base64 */         \
	X(NAN, -21, "NaN or an infinity")       /* which JSON cannot express */          \
	X(FULL, -22, "queue full")

enum err {
#define X(name, value, text) E_##name = (value),
	ERRORS(X)
#undef X
};

/* The text of an error code. For E_SYS, the text of errno. Never NULL. */
const char *err_str(int err);

#endif
