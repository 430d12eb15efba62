/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies what a client has sent into requests to authenticators; see auth_pairs.h. No
 * state; any thread.
 */
#include "proto/auth_pairs.h"

#include "common/err.h"
#include "proto/auth_api.h"
#include "proto/transcode.h"

struct slice auth_item_text(enum serializer s, struct slice item, struct buf *scratch)
{
	struct token_reader r;
	struct token t;
	struct slice text;

	token_reader_init(&r, s, item);
	if (token_next(&r, &t) != 0 || t.type != TOKEN_STR ||
	    token_text(&t, s, scratch, &text) != 0)
		return slice_of(NULL, 0);
	return text;
}

bool auth_pairs_next(struct token_reader *r, struct slice *key, struct slice *value)
{
	return token_skip(r, key) == 0 && token_skip(r, value) == 0;
}

/*
 * Can the next value be sent? It may contain at most `depth` levels of arrays and maps.
 */
static bool carriable(struct token_reader *r, unsigned depth)
{
	struct token t, key;

	if (token_next(r, &t) != 0 || t.type == TOKEN_OPAQUE ||
	    t.type == TOKEN_UNDEFINED || t.type == TOKEN_END)
		return false;
	if (t.type == TOKEN_STR || t.type == TOKEN_BIN)
		return t.text.len <= AUTH_MAX_STRING;
	if (t.type != TOKEN_ARRAY && t.type != TOKEN_MAP)
		return true;
	if (depth == 0 || (t.type == TOKEN_MAP && t.count > AUTH_MAX_MAP))
		return false;
	for (uint64_t i = 0; i < t.count; i++) {
		if (t.type == TOKEN_MAP &&
		    (token_next(r, &key) != 0 || key.type != TOKEN_STR ||
		     key.text.len > AUTH_MAX_STRING))
			return false;
		if (!carriable(r, depth - 1))
			return false;
	}
	/* Reads the end of the array or map. */
	return token_next(r, &key) == 0;
}

/* A map that is being filled. */
struct pairs {
	struct token_writer w;
	unsigned depth;   /* nesting depth of the map in the message */
	unsigned left;    /* pairs that may still be added */
	size_t room;      /* bytes that may still be added */
	struct buf value; /* scratch */
	const struct auth_own_pair *own;
};

static bool is_own_key(const struct auth_own_pair *own, struct slice key)
{
	while (own->key != NULL && !slice_eq_str(key, own->key))
		own++;
	return own->key != NULL;
}

/* Adds a pair, or leaves it out; see auth_pairs.h. E_NOMEM. */
static int put_one_pair(struct pairs *to, enum serializer from, struct slice key,
			struct slice value)
{
	uint8_t room_for_key[AUTH_MAX_NAME + 1];
	struct token_reader r;

	buf_clear(&to->value);
	struct slice text = auth_item_text(from, key, &to->value);
	if (text.len == 0 || text.len > AUTH_MAX_NAME || is_own_key(to->own, text))
		return to->value.err == E_NOMEM ? E_NOMEM : 0;
	/* text may point into to->value, which is needed for the value now. */
	memcpy(room_for_key, text.p, text.len);
	text.p = room_for_key;
	buf_clear(&to->value);
	int err = transcode(from, value, 1, SERIALIZER_MSGPACK, &to->value);
	size_t size = (text.len < 32 ? 1 : 2) + text.len + to->value.len;
	token_reader_init(&r, SERIALIZER_MSGPACK, buf_slice(&to->value));
	if (err != 0 || to->left == 0 || size > to->room ||
	    !carriable(&r, AUTH_MAX_DEPTH - to->depth))
		return err == E_NOMEM ? E_NOMEM : 0;
	to->left--;
	to->room -= size;
	token_put_str(&to->w, text);
	token_put_raw(&to->w, buf_slice(&to->value), 1);
	return 0;
}

static int put_pairs(struct pairs *to, enum serializer from, struct slice dict)
{
	struct token_reader r;
	struct token t;
	struct slice key, value;
	int err = 0;

	token_reader_init(&r, from, dict);
	if (dict.len == 0 || token_next(&r, &t) != 0 || t.type != TOKEN_MAP)
		return 0;
	while (err == 0 && auth_pairs_next(&r, &key, &value))
		err = put_one_pair(to, from, key, value);
	return err;
}

int auth_pairs_write(struct buf *out, unsigned depth, const struct auth_own_pair *own,
		     enum serializer from, struct slice dict, size_t *room)
{
	static const struct auth_own_pair none = {NULL, {NULL, 0}};
	size_t most = min_size(*room, AUTH_MAX_STRING);
	struct pairs p = {.depth = depth, .left = AUTH_MAX_MAP, .room = most};

	buf_init(&p.value, AUTH_MAX_STRING + AUTH_MAX_NAME);
	token_writer_init(&p.w, SERIALIZER_MSGPACK, out);
	token_put_map(&p.w, TOKEN_COUNT_UNKNOWN);
	p.own = own != NULL ? own : &none;
	for (own = p.own; own->key != NULL; own++, p.left--) {
		token_put_text(&p.w, own->key);
		fields_put_str_or_nil(&p.w, own->value);
	}
	int err = put_pairs(&p, from, dict);
	token_put_end(&p.w);
	*room -= most - p.room;
	buf_fini(&p.value);
	return err != 0 ? err : out->err;
}
