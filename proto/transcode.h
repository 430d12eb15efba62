/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one encoding to another. Pure code; any thread.
 */
#ifndef PROTO_TRANSCODE_H
#define PROTO_TRANSCODE_H

#include "common/buf.h"
#include "proto/token.h"
#include "proto/wamp.h"

/*
 * Appends items consecutive items (in JSON separated by commas) of one encoding to out in
 * another, in the same form: consecutive, in JSON joined by commas. The input has been
 * checked by a reader before, but is checked again where that is free. Undefined becomes
 * null. E_UNSUPPORTED: a value that the target cannot express (an opaque item; in JSON
 * also NaN or an infinity, a map key that is not a string, text that begins with U+0000);
 * also E_LIMIT, E_NOMEM. After an error out holds a partial result.
 */
int transcode(enum serializer from, struct slice in, unsigned items, enum serializer to,
	      struct buf *out) MUSTCHECK;

/*
 * Passes one whole item from a reader to a writer of another encoding. scratch is for
 * texts that need decoding; what it held is lost. Errors as above and those of the
 * reader; E_TYPE if a TOKEN_END comes instead of an item.
 */
int transcode_item(struct token_reader *r, struct token_writer *w,
		   struct buf *scratch) MUSTCHECK;

#endif
