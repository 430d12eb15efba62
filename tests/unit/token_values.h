/* SPDX-License-Identifier: Apache-2.0 */
/* Writes tokens of the types that the daemons only pass on, from values of C's types. */
#ifndef TESTS_UNIT_TOKEN_VALUES_H
#define TESTS_UNIT_TOKEN_VALUES_H

#include "proto/token.h"

static inline void token_put_int(struct token_writer *w, int64_t v)
{
	token_put(w, v < 0 ? TOKEN_NEGINT : TOKEN_UINT, (uint64_t)v);
}

static inline void token_put_double(struct token_writer *w, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	token_put(w, TOKEN_DOUBLE, bits);
}

static inline void token_put_bin(struct token_writer *w, struct slice s)
{
	token_put_content(w, TOKEN_BIN, s);
}

#endif
