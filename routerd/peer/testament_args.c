/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the arguments of wamp.session.add_testament into a PUBLISH; see
 * testament_args.h. The worker's thread. */
#include "routerd/peer/testament_args.h"

#include "common/err.h"

#include <stdio.h>

/* The arguments as encoded. len 0: absent, null, or an empty list or dict. */
struct testament_items {
	struct slice topic, args, kwargs, options;
};

static const char topic_fault[] = "topic: expected a string";
static const char args_fault[] = "args: expected a list";
static const char kwargs_fault[] = "kwargs: expected a dict";
static const char count_fault[] =
	"expected at most three positional arguments: topic, args and kwargs";
static const char options_fault[] = "publish_options: expected a dict";
static const char scope_fault[] = "scope: expected destroyed or detached";
static const char keywords_fault[] = "expected no keyword arguments except "
				     "publish_options and scope, each of them once";

int testament_scope(struct slice name, bool *detached_out)
{
	*detached_out = slice_eq_str(name, "detached");
	return *detached_out || slice_eq_str(name, "destroyed") ? 0 : E_UNKNOWN;
}

/*
 * Reads an item of this type. *out is empty if the item is null or an empty container, or
 * if the list ends here. E_TYPE if it is of another type; a binary may stand for a list,
 * because msg_read knows when it may (enc_algo).
 */
MUSTCHECK
static int take_item(struct token_reader *r, enum token_type type, struct slice *out)
{
	struct token_reader inside;
	struct token t;

	*out = slice_of(NULL, 0);
	int err = token_skip(r, out);
	if (err != 0) /* E_TYPE: the list ends here */
		return err == E_TYPE ? 0 : err;
	token_reader_init(&inside, r->serializer, *out);
	err = token_next(&inside, &t);
	if (err != 0)
		return err;
	bool nothing = t.type == TOKEN_NULL || t.type == TOKEN_UNDEFINED;
	if (!nothing && t.type != type && !(type == TOKEN_ARRAY && t.type == TOKEN_BIN))
		return E_TYPE;
	if (t.type == TOKEN_ARRAY || t.type == TOKEN_MAP)
		nothing = token_next(&inside, &t) == 0 && t.type == TOKEN_END;
	if (nothing)
		*out = slice_of(NULL, 0);
	return 0;
}

/* Reads Arguments. Returns NULL, or says what is wrong. */
static const char *read_items(struct token_reader *r, struct testament_items *items)
{
	struct token t;

	if (token_expect(r, TOKEN_ARRAY, &t) != 0 ||
	    take_item(r, TOKEN_STR, &items->topic) != 0 || items->topic.len == 0)
		return topic_fault;
	if (take_item(r, TOKEN_ARRAY, &items->args) != 0)
		return args_fault;
	if (take_item(r, TOKEN_MAP, &items->kwargs) != 0)
		return kwargs_fault;
	return token_expect(r, TOKEN_END, &t) == 0 ? NULL : count_fault;
}

/* Reads the value of the scope. scratch has room for each text of the CALL. */
static const char *read_scope(struct token_reader *r, struct buf *scratch,
			      bool *detached_out)
{
	struct slice name;
	struct token t;

	if (token_next(r, &t) != 0)
		return scope_fault;
	if (t.type == TOKEN_NULL || t.type == TOKEN_UNDEFINED)
		return NULL;
	return t.type == TOKEN_STR &&
			       token_text(&t, r->serializer, scratch, &name) == 0 &&
			       testament_scope(name, detached_out) == 0
		       ? NULL
		       : scope_fault;
}

/* Reads ArgumentsKw. Returns NULL, or says what is wrong. */
static const char *read_kwargs(struct token_reader *r, struct buf *scratch,
			       struct testament_items *items, bool *detached_out)
{
	bool scope_seen = false, options_seen = false;
	const char *fault = NULL;
	struct slice key;
	struct token t;

	if (token_expect(r, TOKEN_MAP, &t) != 0)
		return keywords_fault;
	while (fault == NULL) {
		buf_clear(scratch);
		if (token_next(r, &t) != 0)
			return keywords_fault;
		if (t.type == TOKEN_END)
			return NULL;
		if (t.type != TOKEN_STR ||
		    token_text(&t, r->serializer, scratch, &key) != 0)
			return keywords_fault;
		if (slice_eq_str(key, "scope") && !scope_seen) {
			scope_seen = true;
			fault = read_scope(r, scratch, detached_out);
		} else if (slice_eq_str(key, "publish_options") && !options_seen) {
			options_seen = true;
			fault = take_item(r, TOKEN_MAP, &items->options) != 0
					? options_fault
					: NULL;
		} else {
			return keywords_fault;
		}
	}
	return fault;
}

/* Writes [PUBLISH, request, publish_options, topic, args, kwargs], as far as they are
 * needed. */
static void write_publish(enum serializer s, uint64_t request,
			  const struct testament_items *items, struct buf *out)
{
	struct token_writer w;

	token_writer_init(&w, s, out);
	token_put_array(&w, items->kwargs.len > 0 ? 6 : items->args.len > 0 ? 5 : 4);
	token_put_uint(&w, WAMP_PUBLISH);
	token_put_uint(&w, request);
	if (items->options.len > 0) {
		token_put_raw(&w, items->options, 1);
	} else {
		token_put_map(&w, 0);
		token_put_end(&w);
	}
	token_put_raw(&w, items->topic, 1);
	if (items->args.len > 0)
		token_put_raw(&w, items->args, 1);
	else if (items->kwargs.len > 0)
		token_put_null(&w);
	if (items->kwargs.len > 0)
		token_put_raw(&w, items->kwargs, 1);
	token_put_end(&w);
}

int testament_args_read(enum serializer s, const struct msg *call,
			struct testament_args *out, char fault_out[MSG_FAULT_TEXT_MAX])
{
	struct testament_items items = {.topic = {NULL, 0}};
	struct token_reader r;
	/* the bytes of a PUBLISH other than its arguments */
	size_t size = call->payload.bytes.len + 64;

	*out = (struct testament_args){.detached = false};
	buf_init(&out->message, size);
	buf_init(&out->decoded, size);
	if (buf_reserve(&out->decoded, size) == NULL)
		return E_NOMEM;
	token_reader_init(&r, s, call->payload.bytes);
	const char *fault = read_items(&r, &items);
	if (fault == NULL && call->payload.items == 2)
		fault = read_kwargs(&r, &out->decoded, &items, &out->detached);
	if (fault != NULL) {
		snprintf(fault_out, MSG_FAULT_TEXT_MAX, "%s", fault);
		return E_VALUE;
	}
	write_publish(s, call->request, &items, &out->message);
	int err = out->message.err;
	if (err == 0)
		err = msg_read(s, buf_slice(&out->message), &out->decoded, &out->publish);
	if (err == 0) {
		out->publish.testament = true;
		out->publish.acknowledge = true; /* if it is refused, say so */
		return 0;
	}
	if (err == E_NOMEM)
		return E_NOMEM;
	msg_fault_text(&out->publish, err, fault_out);
	return E_VALUE;
}

void testament_args_fini(struct testament_args *t)
{
	buf_fini(&t->message);
	buf_fini(&t->decoded);
}
