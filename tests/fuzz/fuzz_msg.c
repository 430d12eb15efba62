/* SPDX-License-Identifier: Apache-2.0 */
/* msg_read: the first byte chooses the serializer, the rest is a message. An accepted
 * message must be as msg.h promises, and its payload must be readable in an EVENT. */
#include "common/utf8.h"
#include "proto/msg.h"
#include "proto/uri.h"
#include "routerd/post/options.h"
#include "tests/unit/token_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The slice lies in the message or in scratch. */
static void check_slice(struct slice s, struct slice in, const struct buf *scratch)
{
	bool in_message = s.p >= in.p && s.p + s.len <= in.p + in.len;
	bool in_scratch = scratch->data != NULL && s.p >= scratch->data &&
			  s.p + s.len <= scratch->data + scratch->len;

	ASSERT(s.len == 0 || in_message || in_scratch);
}

static void check_text(struct slice s, struct slice in, const struct buf *scratch)
{
	check_slice(s, in, scratch);
	ASSERT(utf8_valid(s));
}

static void check_hello(const struct msg_hello *h, struct slice in,
			const struct buf *scratch)
{
	ASSERT(h->n_authmethods <= WAMP_MAX_AUTHMETHODS);
	for (unsigned i = 0; i < h->n_authmethods; i++)
		check_text(h->authmethods[i], in, scratch);
	check_text(h->realm, in, scratch);
	check_text(h->authid, in, scratch);
	check_text(h->authrole, in, scratch);
	check_text(h->agent, in, scratch);
	check_text(h->pubkey, in, scratch);
	check_text(h->channel_binding, in, scratch);
	check_slice(h->authextra, in, scratch);
}

/* The texts of the options are whole, and within their limit. */
static void check_passthru(const struct options *o)
{
	const struct slice *texts = options_passthru(o);
	bool ppt = texts != NULL && texts[MSG_PPT_SCHEME].len > 0;
	bool enc = texts != NULL && texts[MSG_ENC_ALGO].len > 0;
	size_t total = 0;

	for (unsigned i = 0; texts != NULL && i < MSG_PASSTHRU_COUNT; i++) {
		ASSERT(texts[i].p == NULL || (i < MSG_ENC_ALGO ? ppt : enc));
		ASSERT(utf8_valid(texts[i]));
		total += texts[i].len;
	}
	ASSERT(total <= OPTIONS_MAX_PASSTHRU && total < options_size(o));
	ASSERT((texts != NULL) == (ppt || enc));
	ASSERT(options_understood(o, WAMP_FEATURE_PAYLOAD_PASSTHRU_MODE) == !enc);
	ASSERT(options_understood(o, WAMP_FEATURE_PAYLOAD_TRANSPARENCY) == !ppt);
}

/* The lists and texts give options or a fault, and the options answer. */
static void check_options(enum serializer s, struct slice in, const struct buf *scratch,
			  struct msg *m)
{
	const struct identity who = {
		.session = 1, .authid = slice_str("a"), .authrole = slice_str("b")};
	char text[MSG_FAULT_TEXT_MAX];
	struct options *o;

	for (unsigned i = 0; i < MSG_FILTER_COUNT; i++)
		if ((m->filters & 1u << i) != 0)
			check_slice(m->filter[i], in, scratch);
	for (unsigned i = 0; i < MSG_PASSTHRU_COUNT; i++)
		if ((m->passthru & 1u << i) != 0)
			check_slice(m->passthru_value[i], in, scratch);
	if ((m->filters | m->passthru) == 0)
		return;
	int err = options_new(s, m, &o);
	if (err != 0) {
		ASSERT(err == E_TYPE && o == NULL);
		msg_fault_text(m, err, text);
		ASSERT(strstr(text, m->type == WAMP_ERROR ? "ERROR.Details."
							  : ".Options.") != NULL);
	} else if (o != NULL) {
		check_passthru(o);
		ASSERT(!options_pass(o, &who) || !options_pass_nobody(o));
	}
	options_unref(&o);
}

static void check_payload(enum serializer s, const struct msg *m)
{
	struct msg_payload payload = m->payload;
	struct buf event;

	ASSERT(payload.items <= 2);
	/* only enc_algo allows a binary in place of Arguments */
	if (payload.items > 0 && token_container(s, payload.bytes) != TOKEN_ARRAY)
		ASSERT(payload.items == 1 && (m->passthru & 1u << MSG_ENC_ALGO) != 0);
	buf_init(&event, SIZE_MAX / 4);
	msg_write_payload(&event, s, WAMP_EVENT, 1, WAMP_MAX_ID, NULL, payload);
	ASSERT(event.err == 0);
	ASSERT(read_whole(s, buf_slice(&event), NULL) == 0);
	buf_fini(&event);
}

/* A refused message: its description is valid, and only a wrong value gives E_VALUE. */
static void check_fault(enum serializer s, struct slice in, const struct msg *m, int err)
{
	char text[MSG_FAULT_TEXT_MAX];
	int strict = read_whole(s, in, NULL);

	msg_fault_text(m, err, text);
	ASSERT(strlen(text) < sizeof(text) - 1 && strstr(text, "(null)") == NULL);
	if (err != E_VALUE)
		return;
	ASSERT(token_is_value_error(m->fault.err) && m->fault.element != NULL);
	ASSERT(token_is_value_error(strict));
	ASSERT(strcmp(wamp_type_name(m->type), "?") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msg_hello hello;
	struct msg m = {.hello = &hello};
	struct buf scratch;

	if (size == 0)
		return 0;
	enum serializer s = (enum serializer)(data[0] % SERIALIZER_COUNT);
	struct slice in = slice_of(data + 1, size - 1);
	buf_init(&scratch, in.len);
	int err = msg_read(s, in, &scratch, &m);
	/* decoded texts in scratch are never longer than the input */
	ASSERT(err != E_LIMIT || s == SERIALIZER_UBJSON);
	if (err != 0) {
		check_fault(s, in, &m, err);
	} else {
		/* the whole input is one item */
		ASSERT(read_whole(s, in, NULL) == 0);
		ASSERT(strcmp(wamp_type_name(m.type), "?") != 0);
		if (m.type == WAMP_HELLO)
			check_hello(&hello, in, &scratch);
		check_text(m.uri, in, &scratch);
		check_text(m.text, in, &scratch);
		check_text(m.match, in, &scratch);
		check_text(m.invoke, in, &scratch);
		check_slice(m.payload.bytes, in, &scratch);
		check_options(s, in, &scratch, &m);
		check_payload(s, &m);
		(void)uri_valid(m.uri);
	}
	buf_fini(&scratch);
	return 0;
}
