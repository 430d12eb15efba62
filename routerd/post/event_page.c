/* SPDX-License-Identifier: Apache-2.0 */
/* Queries and pages of events; any thread. See event_page.h. */
#include "routerd/post/event_page.h"

#include <stdlib.h>

const char *const event_bound_names[EVENT_BOUND_COUNT] = {
	[EVENT_FROM] = "from_publication",
	[EVENT_AFTER] = "after_publication",
	[EVENT_BEFORE] = "before_publication",
	[EVENT_UNTIL] = "until_publication",
};

struct event_query *event_query_new(void)
{
	struct event_query *q = malloc(sizeof(*q));

	if (q != NULL)
		*q = (struct event_query){
			.limit = EVENT_PAGE_MAX,
			.last_ms = UINT64_MAX,
		};
	return q;
}

struct event_page *event_page_new(size_t max, enum match match, struct slice uri)
{
	struct event_page *page =
		malloc(sizeof(*page) + max * sizeof(page->events[0]) + uri.len);

	if (page == NULL)
		return NULL;
	uint8_t *pos = (uint8_t *)&page->events[max];
	*page = (struct event_page){
		.match = (uint8_t)match,
		.unknown = EVENT_BOUND_COUNT,
		.max = max,
	};
	page->uri = slice_store(&pos, uri);
	return page;
}

void event_page_free(struct event_page **pp)
{
	struct event_page *page = *pp;

	*pp = NULL;
	for (size_t i = 0; page != NULL && i < page->n; i++) {
		payload_unref(&page->events[i].payload);
		options_unref(&page->events[i].options);
		identity_unref(&page->events[i].disclosed);
	}
	free(page);
}

void event_page_add(struct event_page *page, const struct page_event *event)
{
	ASSERT(page->n < page->max);
	page->events[page->n++] = *event;
}

size_t event_page_size(const struct event_page *page)
{
	size_t size = sizeof(*page) + page->max * sizeof(page->events[0]) + page->uri.len;

	for (size_t i = 0; i < page->n; i++) {
		const struct page_event *e = &page->events[i];
		size += payload_size(e->payload);
		if (e->options != NULL)
			size += options_size(e->options);
		if (e->disclosed != NULL)
			size += identity_size(e->disclosed);
	}
	return size;
}
