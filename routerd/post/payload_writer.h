/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the payloads that the router itself sends: results of meta procedures, and meta
 * events. core/ uses it to write values without knowing an encoding. A writer belongs to
 * one thread.
 */
#ifndef ROUTERD_POST_PAYLOAD_WRITER_H
#define ROUTERD_POST_PAYLOAD_WRITER_H

#include "common/base.h"
#include "routerd/post/payload.h"

struct payload_writer;

/*
 * Begins a payload. The values that you put into it become its Arguments. NULL if out of
 * memory. The payload_put functions return no error; payload_finish returns the first
 * error of any of them.
 */
struct payload_writer *payload_writer_new(void) MUSTCHECK;
/* The same, for an event of this topic. */
struct payload_writer *payload_writer_of(struct slice topic) MUSTCHECK;
/* Frees a writer whose payload is not wanted. NULL-safe, clears the caller's pointer. */
void payload_writer_free(struct payload_writer **w);

/* In a dict, put a key (a text) before each value. Texts must be valid UTF-8. */
void payload_put_null(struct payload_writer *w);
void payload_put_number(struct payload_writer *w, uint64_t value);
void payload_put_text(struct payload_writer *w, struct slice text);
/* A time in Unix milliseconds, as ISO 8601: "2026-11-29T10:13:44.123Z". */
void payload_put_time(struct payload_writer *w, uint64_t unix_ms);
/* Opens a list or a dict, which payload_put_end closes. */
void payload_put_list(struct payload_writer *w);
void payload_put_dict(struct payload_writer *w);
void payload_put_end(struct payload_writer *w);

/*
 * Ends the payload and frees the writer. On success returns 0 and sets *payload_out, with
 * one reference. E_LIMIT: the payload is longer than any message may be. E_NOMEM.
 */
int payload_finish(struct payload_writer **w, struct payload **payload_out) MUSTCHECK;

#endif
