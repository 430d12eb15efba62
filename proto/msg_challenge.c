/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the CHALLENGE of each login method; see msg.h. No state; any thread. */
#include "proto/msg.h"

/* Begins [CHALLENGE, method, {...}] with room for `pairs` pairs. */
static void begin_challenge(struct token_writer *w, struct buf *out, enum serializer s,
			    const char *method, uint64_t pairs)
{
	token_writer_init(w, s, out);
	token_put_array(w, 3);
	token_put_uint(w, WAMP_CHALLENGE);
	token_put_text(w, method);
	token_put_map(w, pairs);
}

static void end_challenge(struct token_writer *w)
{
	token_put_end(w);
	token_put_end(w);
}

static void put_text_pair(struct token_writer *w, const char *key, struct slice value)
{
	token_put_text(w, key);
	token_put_str(w, value);
}

static void put_number_pair(struct token_writer *w, const char *key, uint64_t value)
{
	token_put_text(w, key);
	token_put_uint(w, value);
}

void msg_write_challenge_ticket(struct buf *out, enum serializer s)
{
	struct token_writer w;

	begin_challenge(&w, out, s, "ticket", 0);
	end_challenge(&w);
}

void msg_write_challenge_cryptosign(struct buf *out, enum serializer s,
				    const struct msg_key_challenge *c)
{
	struct token_writer w;

	begin_challenge(&w, out, s, "cryptosign", c->signature == NULL ? 2 : 4);
	put_text_pair(&w, "challenge", slice_str(c->challenge));
	token_put_text(&w, "channel_binding");
	if (c->channel_binding != NULL)
		token_put_text(&w, c->channel_binding);
	else
		token_put_null(&w);
	if (c->signature != NULL) {
		put_text_pair(&w, "signature", slice_str(c->signature));
		put_text_pair(&w, "pubkey", slice_str(c->pubkey));
	}
	end_challenge(&w);
}

void msg_write_challenge_cra(struct buf *out, enum serializer s,
			     const struct msg_cra_challenge *c)
{
	struct token_writer w;
	bool salted = c->salt.len > 0;

	begin_challenge(&w, out, s, "wampcra", salted ? 4 : 1);
	put_text_pair(&w, "challenge", c->challenge);
	if (salted) {
		put_text_pair(&w, "salt", c->salt);
		put_number_pair(&w, "iterations", c->iterations);
		put_number_pair(&w, "keylen", c->keylen);
	}
	end_challenge(&w);
}

void msg_write_challenge_scram(struct buf *out, enum serializer s,
			       const struct msg_scram_challenge *c)
{
	struct token_writer w;

	begin_challenge(&w, out, s, c->method, 5);
	put_text_pair(&w, "nonce", c->nonce);
	put_text_pair(&w, "salt", c->salt);
	put_text_pair(&w, "kdf", c->kdf);
	put_number_pair(&w, "iterations", c->iterations);
	token_put_text(&w, "memory");
	if (c->memory == 0)
		token_put_null(&w);
	else
		token_put_uint(&w, c->memory);
	end_challenge(&w);
}
