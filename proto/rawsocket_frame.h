/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RawSocket (specification: "RawSocket Transport"): the handshake, and the head of each
 * frame in both directions. Pure code; any thread.
 */
#ifndef PROTO_RAWSOCKET_FRAME_H
#define PROTO_RAWSOCKET_FRAME_H

#include "common/base.h"

enum {
	RAWSOCKET_MAGIC =
		0x7f, /* first octet of a handshake: no HTTP request begins so */
	RAWSOCKET_HANDSHAKE_LEN = 4,
	RAWSOCKET_HEAD_LEN = 4,
	RAWSOCKET_MIN_LEN = 1 << 9,  /* the least that a side may announce */
	RAWSOCKET_MAX_LEN = 1 << 24, /* and the most */
};

/* Why a handshake is refused: the high four bits of the reply. */
enum rawsocket_error {
	RAWSOCKET_OK = 0,
	RAWSOCKET_SERIALIZER = 1,  /* not spoken here */
	RAWSOCKET_LENGTH = 2,      /* the maximum length is not acceptable */
	RAWSOCKET_RESERVED = 3,    /* reserved bits are set */
	RAWSOCKET_CONNECTIONS = 4, /* too many connections */
};

/* What a client asks for. */
struct rawsocket_handshake {
	unsigned serializer; /* 1 JSON, 2 MessagePack, 3 CBOR; as sent, not judged */
	size_t max_len;      /* of messages to it, bytes */
};

/* RAWSOCKET_OK; RAWSOCKET_RESERVED; E_SYNTAX if it is no RawSocket at all. */
int rawsocket_handshake_read(const uint8_t in[RAWSOCKET_HANDSHAKE_LEN],
			     struct rawsocket_handshake *out) MUSTCHECK;

/*
 * Accepts. max_len is the longest message that we take; the largest power of two that is
 * not above it is announced, and returned.
 */
size_t rawsocket_reply_write(uint8_t out[RAWSOCKET_HANDSHAKE_LEN], unsigned serializer,
			     size_t max_len);
void rawsocket_error_write(uint8_t out[RAWSOCKET_HANDSHAKE_LEN],
			   enum rawsocket_error error);

enum rawsocket_type {
	RAWSOCKET_MESSAGE = 0,
	RAWSOCKET_PING = 1,
	RAWSOCKET_PONG = 2,
};

/* len is at most RAWSOCKET_MAX_LEN. */
void rawsocket_head_write(uint8_t out[RAWSOCKET_HEAD_LEN], enum rawsocket_type type,
			  size_t len);
/* E_SYNTAX: reserved bits, or a reserved type. */
int rawsocket_head_read(const uint8_t in[RAWSOCKET_HEAD_LEN],
			enum rawsocket_type *type_out, size_t *len_out) MUSTCHECK;

#endif
