/* SPDX-License-Identifier: Apache-2.0 */
/* Converts items from one encoding to another. No state; any thread. */
#ifndef PROTO_TRANSCODE_H
#define PROTO_TRANSCODE_H

#include "common/buf.h"
#include "proto/token.h"
#include "proto/wamp.h"

/*
 * Appends to out `items` consecutive items, converted from one encoding to another. In
 * JSON, commas separate the items in input and output. The input has been checked by a
 * reader before; it is checked again where that costs nothing. Undefined becomes null.
 * E_UNSUPPORTED: the target cannot express a value (an opaque item; in JSON also NaN or
 * an infinity, a map key that is not a string, text that begins with U+0000). E_LIMIT,
 * E_NOMEM. After an error out has a partial result.
 */
int transcode(enum serializer from, struct slice in, unsigned items, enum serializer to,
	      struct buf *out) MUSTCHECK;

/*
 * Reads one whole item and writes it with a writer of another encoding. scratch is for
 * texts that need decoding; its content is lost. Errors as in transcode, and those of the
 * reader; E_TYPE if the container ends (TOKEN_END) instead.
 */
int transcode_item(struct token_reader *r, struct token_writer *w,
		   struct buf *scratch) MUSTCHECK;

#endif
