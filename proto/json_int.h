/* SPDX-License-Identifier: Apache-2.0 */
/* What the JSON reader (json.c) and writer (json_write.c) share. */
#ifndef PROTO_JSON_INT_H
#define PROTO_JSON_INT_H

#include "proto/token_int.h"

/* With this, and base64 behind it, a string is a binary. */
#define JSON_BINARY_MARK "\\u0000"
enum { JSON_BINARY_MARK_LEN = sizeof(JSON_BINARY_MARK) - 1 };

/* see struct token_codec */
void json_put_null(struct token_writer *w);
void json_put_bool(struct token_writer *w, bool v);
void json_put_uint(struct token_writer *w, uint64_t v);
void json_put_negint(struct token_writer *w, int64_t v);
void json_put_double(struct token_writer *w, double v);
void json_put_str(struct token_writer *w, struct slice s);
void json_put_bin(struct token_writer *w, struct slice s);
void json_put_raw(struct token_writer *w, struct slice encoded);
void json_open(struct token_writer *w, bool is_map, uint64_t count);
void json_close(struct token_writer *w, const struct token_writer_frame *f);

#endif
