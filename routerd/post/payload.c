/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted payloads with a slot for each encoding; any thread. See payload.h. */
#include "routerd/post/payload.h"

#include "common/err.h"
#include "common/shared_buf.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Enough for 16 MiB of binary data, which base64 in JSON makes a third longer. */
enum { TRANSCODED_MAX = 64 << 20 };

struct payload {
	_Atomic uint32_t refs;
	uint32_t len; /* bytes of the items */
	uint16_t uri_len;
	uint8_t serializer;
	uint8_t n_items;
	bool kept; /* the slots stay NULL */
	/* A slot is or was being filled. Saves the last owner a look at each slot. */
	_Atomic bool transcoding;
	/*
	 * Each slot is NULL until a receiver needs that encoding. The slot of the
	 * payload's own encoding stays NULL.
	 */
	_Atomic(struct shared_buf *) transcoded[SERIALIZER_COUNT];
	uint8_t bytes[]; /* the URI, then the items */
};

/* Initializes all fields except the bytes. */
static void init_head(struct payload *p, enum serializer s, size_t uri_len, size_t len,
		      unsigned n_items)
{
	atomic_init(&p->refs, 1);
	p->len = (uint32_t)len;
	p->uri_len = (uint16_t)uri_len;
	p->serializer = (uint8_t)s;
	p->n_items = (uint8_t)n_items;
	p->kept = false;
	atomic_init(&p->transcoding, false);
	/* gcc makes a loop of atomic_init, which every message would run through. */
	memset(p->transcoded, 0, sizeof(p->transcoded));
}

struct payload *payload_new(enum serializer s, struct slice uri, struct msg_payload items)
{
	/* msg_read limits both */
	ASSERT(uri.len <= WAMP_MAX_URI && items.bytes.len <= UINT32_MAX);
	struct payload *p = malloc(sizeof(*p) + uri.len + items.bytes.len);

	if (p == NULL)
		return NULL;
	init_head(p, s, uri.len, items.bytes.len, items.items);
	uint8_t *pos = p->bytes;
	slice_store(&pos, uri);
	slice_store(&pos, items.bytes);
	return p;
}

void payload_begin(struct buf *b, struct slice uri, size_t max)
{
	const struct payload head = {.uri_len = (uint16_t)uri.len};

	buf_init(b, sizeof(head) + min_size(max, UINT32_MAX));
	buf_put(b, &head, sizeof(head));
	buf_put(b, uri.p, uri.len);
}

int payload_end(struct buf *b, enum serializer s, unsigned n_items, struct payload **out)
{
	struct payload *p = (struct payload *)(void *)b->data;
	int err = b->err;

	if (err != 0) {
		buf_fini(b);
		return err;
	}
	init_head(p, s, p->uri_len, b->len - sizeof(*p) - p->uri_len, n_items);
	*out = p;
	return 0;
}

void payload_ref(struct payload *p)
{
	refs_take(p);
}

static NOINLINE void drop_transcoded(const struct payload *p)
{
	for (int i = 0; i < SERIALIZER_COUNT; i++) {
		struct shared_buf *b =
			atomic_load_explicit(&p->transcoded[i], memory_order_relaxed);
		shared_buf_unref(&b);
	}
}

void payload_unref(struct payload **pp)
{
	struct payload *p = refs_drop(pp);

	if (p == NULL)
		return;
	if (UNLIKELY(atomic_load_explicit(&p->transcoding, memory_order_relaxed)))
		drop_transcoded(p);
	free(p);
}

struct slice payload_uri(const struct payload *p)
{
	return slice_of(p->bytes, p->uri_len);
}

size_t payload_size(const struct payload *p)
{
	return p == NULL ? 0 : sizeof(*p) + p->uri_len + p->len;
}

/*
 * Transcodes the items into the slot of s. If another thread fills the slot first, uses
 * its copy.
 */
static NOINLINE int fill_slot(struct payload *p, enum serializer s,
			      struct shared_buf **out)
{
	struct slice in = slice_of(p->bytes + p->uri_len, p->len);
	struct buf b;

	ASSERT(!p->kept);
	/* transcoded items are rarely much longer */
	shared_buf_begin(&b, in.len + in.len / 4, TRANSCODED_MAX);
	int err = transcode(p->serializer, in, p->n_items, s, &b);
	if (err != 0) {
		buf_fini(&b);
		return err;
	}
	struct shared_buf *mine = shared_buf_end(&b);
	if (mine == NULL)
		return E_NOMEM;
	struct shared_buf *theirs = NULL;
	atomic_store_explicit(&p->transcoding, true, memory_order_relaxed);
	/* Two threads may transcode at the same time; a lock would make all receivers
	 * wait. The first result is kept. */
	if (!atomic_compare_exchange_strong_explicit(&p->transcoded[s], &theirs, mine,
						     memory_order_acq_rel,
						     memory_order_acquire)) {
		shared_buf_unref(&mine);
		mine = theirs;
	}
	*out = mine;
	return 0;
}

int payload_items(struct payload *p, enum serializer s, struct msg_payload *out)
{
	struct slice bytes = slice_of(p->bytes + p->uri_len, p->len);

	if (s != p->serializer && p->n_items > 0) {
		struct shared_buf *b =
			atomic_load_explicit(&p->transcoded[s], memory_order_acquire);
		int err = b == NULL ? fill_slot(p, s, &b) : 0;
		if (err != 0)
			return err;
		bytes = slice_of(b->data, b->len);
	}
	*out = (struct msg_payload){.bytes = bytes, .items = p->n_items};
	return 0;
}

struct payload *payload_keep(const struct payload *p)
{
	struct msg_payload items = {
		.bytes = slice_of(p->bytes + p->uri_len, p->len),
		.items = p->n_items,
	};
	struct payload *copy = payload_new(p->serializer, payload_uri(p), items);

	if (copy != NULL)
		copy->kept = true;
	return copy;
}

int payload_items_into(struct payload *p, enum serializer s, struct buf *scratch,
		       struct msg_payload *out)
{
	if (!p->kept || s == p->serializer || p->n_items == 0)
		return payload_items(p, s, out);
	buf_clear(scratch);
	int err = transcode(p->serializer, slice_of(p->bytes + p->uri_len, p->len),
			    p->n_items, s, scratch);
	if (err == 0)
		*out = (struct msg_payload){buf_slice(scratch), p->n_items};
	return err;
}

bool payload_fault(const struct payload *p, enum serializer s,
		   char text[TRANSCODE_FAULT_MAX])
{
	return transcode_fault(p->serializer, slice_of(p->bytes + p->uri_len, p->len),
			       p->n_items, s, text);
}
