/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of ids; any thread. See id_list.h. */
#include "routerd/post/id_list.h"

#include <stdlib.h>

struct id_list *id_list_new(size_t n)
{
	struct id_list *list = malloc(sizeof(*list) + n * sizeof(list->ids[0]));

	if (list == NULL)
		return NULL;
	atomic_init(&list->refs, 1);
	list->n = n;
	return list;
}

struct id_list *id_list_ref(struct id_list *list)
{
	atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
	return list;
}

void id_list_unref(struct id_list **list_io)
{
	struct id_list *list = *list_io;

	*list_io = NULL;
	if (list != NULL &&
	    atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) == 1)
		free(list);
}

size_t id_list_size(const struct id_list *list)
{
	return sizeof(*list) + list->n * sizeof(list->ids[0]);
}
