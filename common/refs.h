/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference counts. The count is the first field of its object, `_Atomic uint32_t refs`,
 * and begins as 1 (atomic_init). Each type has its own functions x_ref and x_unref, so
 * that the compiler checks the types of their arguments. Any thread.
 */
#ifndef COMMON_REFS_H
#define COMMON_REFS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Adds a reference to an object, and returns the object. */
static inline void *refs_take(void *object)
{
	_Atomic uint32_t *refs = object;

	atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
	return object;
}

/*
 * Drops a reference. `pointer` is the address of the caller's pointer to the object,
 * which is set to NULL; it may be NULL already. If this was the last reference, returns
 * the object, which the caller must free; else NULL.
 */
static inline void *refs_drop(void *pointer)
{
	_Atomic uint32_t **caller = pointer, *refs = *caller;

	*caller = NULL;
	/* acq_rel: all other threads have finished reading before the object is freed */
	if (refs == NULL || atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	return refs;
}

#endif
