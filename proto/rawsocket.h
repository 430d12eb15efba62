/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RawSocket (specification: "RawSocket Transport"): the handshake, frame heads in both
 * directions, and a pull parser for the stream after the handshake. The parser
 * allocates memory only for incomplete frames. No state; any thread.
 */
#ifndef PROTO_RAWSOCKET_H
#define PROTO_RAWSOCKET_H

#include "common/buf.h"
#include "proto/frame_event.h"

enum {
	/* The first octet of a handshake. No HTTP request begins with it. */
	RAWSOCKET_MAGIC = 0x7f,
	RAWSOCKET_HANDSHAKE_LEN = 4,
	RAWSOCKET_HEAD_LEN = 4,
	RAWSOCKET_MIN_LEN = 1 << 9,  /* smallest limit that a side may announce */
	RAWSOCKET_MAX_LEN = 1 << 24, /* largest limit that a side may announce */
};

/* Why a handshake is refused: the upper four bits of the reply's second octet. */
enum rawsocket_error {
	RAWSOCKET_OK = 0,
	RAWSOCKET_SERIALIZER = 1,  /* not supported here */
	RAWSOCKET_LENGTH = 2,      /* the maximum length is not acceptable */
	RAWSOCKET_RESERVED = 3,    /* reserved bits are set */
	RAWSOCKET_CONNECTIONS = 4, /* too many connections */
};

/* A client's handshake. */
struct rawsocket_handshake {
	unsigned serializer; /* 1 JSON, 2 MessagePack, 3 CBOR, 4 UBJSON; not checked */
	size_t max_len;      /* longest message that the client accepts, bytes */
};

/* Returns RAWSOCKET_OK, RAWSOCKET_RESERVED, or E_SYNTAX if this is not RawSocket. */
int rawsocket_handshake_read(const uint8_t in[RAWSOCKET_HANDSHAKE_LEN],
			     struct rawsocket_handshake *out) MUSTCHECK;

/*
 * Writes the reply that accepts a handshake. max_len is the longest message that we
 * accept. Announces and returns the largest power of two that is not above it.
 */
size_t rawsocket_reply_write(uint8_t out[RAWSOCKET_HANDSHAKE_LEN], unsigned serializer,
			     size_t max_len);
/* Writes the reply that refuses a handshake. */
void rawsocket_error_write(uint8_t out[RAWSOCKET_HANDSHAKE_LEN],
			   enum rawsocket_error error);

enum rawsocket_type {
	RAWSOCKET_MESSAGE = 0,
	RAWSOCKET_PING = 1,
	RAWSOCKET_PONG = 2,
};

/* Writes a frame head. len is at most RAWSOCKET_MAX_LEN. */
void rawsocket_head_write(uint8_t out[RAWSOCKET_HEAD_LEN], enum rawsocket_type type,
			  size_t len);
/* Reads a frame head. E_SYNTAX: reserved bits are set, or the type is reserved. */
int rawsocket_head_read(const uint8_t in[RAWSOCKET_HEAD_LEN],
			enum rawsocket_type *type_out, size_t *len_out) MUSTCHECK;

/*
 * Finds the next event in *in and removes the bytes that it has read from *in. *partial
 * is a buffer with the beginning of an incomplete frame, or NULL. The caller sets it to
 * NULL at first; rawsocket_next allocates and frees it. limit is the largest payload that
 * is allowed now, in bytes. Call rawsocket_next until it returns FRAME_MORE.
 *
 * FRAME_ERROR and FRAME_NOMEM are the last event of a stream. Then the caller frees
 * *partial.
 */
enum frame_event_type rawsocket_next(struct buf **partial, struct frame_input *in,
				     size_t limit, struct frame_event *out) MUSTCHECK;

#endif
