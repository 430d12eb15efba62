/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An immutable list of ids, with a reference count: the subscriptions that one
 * publication matches, except the first. The posts to the workers share it. Any thread.
 */
#ifndef ROUTERD_POST_ID_LIST_H
#define ROUTERD_POST_ID_LIST_H

#include "common/base.h"

#include <stdatomic.h>

struct id_list {
	_Atomic uint32_t refs;
	size_t n;
	uint64_t ids[];
};

/* Makes a list with one reference; the caller sets the ids. NULL if out of memory. */
struct id_list *id_list_new(size_t n) MUSTCHECK;
struct id_list *id_list_ref(struct id_list *list);
/*
 * Drops a reference and clears the caller's pointer. The last reference frees the list.
 * NULL-safe.
 */
void id_list_unref(struct id_list **list);

/* Bytes of memory. */
size_t id_list_size(const struct id_list *list);

#endif
