/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one encoding to another. Pure code; any thread.
 */
#ifndef PROTO_TRANSCODE_H
#define PROTO_TRANSCODE_H

#include "common/buf.h"
#include "proto/wamp.h"

/*
 * Appends items consecutive items (in JSON separated by commas) of one encoding to out in
 * another, in the same form: consecutive, in JSON joined by commas. The input has been
 * checked by a reader before, but is checked again where that is free. E_UNSUPPORTED: a
 * value that the target cannot express (NaN or an infinity in JSON, a map key that is not
 * a string in JSON, an opaque item); also E_LIMIT, E_NOMEM. After an error out holds a
 * partial result.
 */
int transcode(enum serializer from, struct slice in, unsigned items, enum serializer to,
	      struct buf *out) MUSTCHECK;

#endif
