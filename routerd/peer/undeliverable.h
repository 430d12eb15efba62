/* SPDX-License-Identifier: Apache-2.0 */
/* Why a message could not be delivered to a client. */
#ifndef ROUTERD_PEER_UNDELIVERABLE_H
#define ROUTERD_PEER_UNDELIVERABLE_H

#include "proto/transcode.h"

/* Filled in by peer_log_undeliverable. */
struct undeliverable {
	int err;
	/* behind the text of transcode_fault, the message: "CALL." */
	char text[TRANSCODE_FAULT_MAX + 32];
};

#endif
