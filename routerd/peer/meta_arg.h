/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call of a meta procedure whose arguments are being read, and readers of one argument.
 * For meta_args.c and meta_keywords.c only. The worker's thread.
 */
#ifndef ROUTERD_PEER_META_ARG_H
#define ROUTERD_PEER_META_ARG_H

#include "proto/token.h"
#include "routerd/config/policy.h"
#include "routerd/post/post.h"

/* A call whose arguments are being read. */
struct meta_args {
	struct token_reader reader;
	struct token token; /* read last */
	bool ended;         /* it is the end of Arguments */
	const struct policy *policy;
	unsigned realm;
	struct buf *scratch; /* has room for all texts, so it does not move */
	struct post *post;
	const char *fault;      /* what is expected where the reading has ended */
	struct revocation kill; /* if meta_revokes: what was read so far */
};

/* Each function returns 0, E_NOMEM, or another error if the argument is wrong. */

/* Reads the next token. */
int meta_next_arg(struct meta_args *a) MUSTCHECK;

/* True for null and undefined: such an argument counts as absent. */
bool meta_arg_is_null(const struct token *t);

/* --- these read a value whose (first) token was read last --- */

/* Reads a text. *out is valid as long as scratch. */
int meta_arg_text(struct meta_args *a, struct slice *out) MUSTCHECK;
/*
 * Reads a text, and makes it the URI of the post. Does not check it: if it is invalid, no
 * registration or subscription has it.
 */
int meta_arg_uri(struct meta_args *a) MUSTCHECK;
/* Reads the limit of get_events: 1 or more; null: none. */
int meta_arg_limit(struct meta_args *a) MUSTCHECK;
/* Reads the reason of a kill or a removal, without checking that it is a URI. */
int meta_arg_reason(struct meta_args *a) MUSTCHECK;
/* Reads the message of a kill, at most 1,024 bytes. */
int meta_arg_message(struct meta_args *a) MUSTCHECK;

/* --- meta_keywords.c --- */

/* Reads ArgumentsKw. After an error, a->fault says what is expected. */
int meta_read_keywords(struct meta_args *a) MUSTCHECK;

#endif
