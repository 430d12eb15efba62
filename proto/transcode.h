/* SPDX-License-Identifier: Apache-2.0 */
/* Converts items from one encoding to another. No state; any thread. */
#ifndef PROTO_TRANSCODE_H
#define PROTO_TRANSCODE_H

#include "common/buf.h"
#include "proto/token.h"
#include "proto/wamp.h"

/*
 * Converts `items` consecutive items from one encoding to another and appends them to
 * out. In JSON, commas separate the items in input and output. etc/doc/values.md says
 * what becomes of each kind of value. Undefined becomes null. E_UNSUPPORTED: the target
 * cannot express a value. E_LIMIT, E_NOMEM, E_TRAILING, or an error of the reader. After
 * an error out has a partial result.
 */
int transcode(enum serializer from, struct slice in, unsigned items, enum serializer to,
	      struct buf *out) MUSTCHECK;

enum { TRANSCODE_FAULT_MAX = 160 }; /* with terminator */

/*
 * After E_UNSUPPORTED from transcode with the same arguments: says which value the target
 * cannot express. `in` is a payload: the first item is Arguments, the second ArgumentsKw.
 * "Arguments[1]: a date cannot be expressed in JSON". The text has no characters that a
 * log line must escape. False: it can express all of them.
 */
bool transcode_fault(enum serializer from, struct slice in, unsigned items,
		     enum serializer to, char text[TRANSCODE_FAULT_MAX]);

/*
 * Reads one whole item and writes it with a writer of another encoding. scratch is for
 * texts that need decoding; its content is lost. Errors as in transcode, but not
 * E_TRAILING; E_TYPE if the container ends (TOKEN_END) instead.
 */
int transcode_item(struct token_reader *r, struct token_writer *w,
		   struct buf *scratch) MUSTCHECK;

#endif
