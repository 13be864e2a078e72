/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Giving everything back; flush() with SAs in use, and destroy().
 */

#include "operations.h"

#include <stdio.h>

/* described in header */
void operation_calm(void)
{
	sa_t *sas[MAX_SAS], *refused;
	bool moved = TRUE;
	int actor, i;

	while (moved)
	{
		moved = FALSE;
		refused = NULL;
		for (actor = 0; actor < ACTORS; actor++)
		{
			int count = sa_collect(sas, is_held_registered_by, &actor);

			for (i = 0; i < count && is_free(actor); i++)
			{
				if (!sas[i]->alive || sas[i]->holder != actor)
				{
					continue;
				}
				if (start_checkin(actor, sas[i]))
				{
					moved = TRUE;
				}
				else
				{
					refused = sas[i];
				}
			}
		}
		if (!moved && refused)
		{	/* it would look for duplicates while somebody walks */
			start_destroy(refused->holder, refused);
			moved = TRUE;
		}
	}
	for (actor = 0; actor < ACTORS; actor++)
	{
		if (!is_free(actor))
		{
			run_wrong("actor %d can not be released from %s", actor, run->calls[actor]->text);
			run->give_up();
		}
	}
}

static void execute_flush(manager_call_t *this __attribute__((unused)))
{
	run->manager->flush(run->manager);
}

static int compare_events(const void *a, const void *b)
{
	return strcmp(*(char**)a, *(char**)b);
}

/**
 * SAs go in an order that only the manager knows.
 */
static void sort_events(manager_call_t *this)
{
	char **events, *copy, *event, *rest;
	size_t count = 0, len = 0, i;

	if (!this->events)
	{
		return;
	}
	rest = copy = strdup(this->events);
	events = calloc(this->events_len, sizeof(events[0]));
	while ((event = strsep(&rest, ";")))
	{
		if (*event)
		{
			events[count++] = event;
		}
	}
	qsort(events, count, sizeof(events[0]), compare_events);
	for (i = 0; i < count; i++)
	{
		len += (size_t)snprintf(this->events + len, this->events_len + 1 - len, ";%s", events[i]);
	}
	free(events);
	free(copy);
}

static void finish_flush(manager_call_t *this, int actor __attribute__((unused)))
{
	sort_events(this);
	coverage_outcome(this->method, this->parked ? OUTCOME_WAITED : OUTCOME_DONE);
}

static void start_flush(int actor)
{
	manager_call_t *call;

	run->flushing = TRUE;
	run->hold_lines = TRUE;
	call = call_create(METHOD_FLUSH, "flush()");
	call->execute = execute_flush;
	call->finish = finish_flush;
	run_call(actor, call);
}

static void execute_manager_destroy(manager_call_t *this __attribute__((unused)))
{
	run_destroy_manager(run->side, run->manager);
}

static void finish_manager_destroy(manager_call_t *this, int actor __attribute__((unused)))
{
	sort_events(this);
	coverage_outcome(this->method, this->yes ? OUTCOME_FLUSHED : OUTCOME_DONE);
}

/**
 * Make an SA that is in use when flush() comes, and somebody who wants it.
 *
 * @return			the SA, NULL if there is none
 */
static sa_t *prepare_flush(int flusher, int holder, int waiter, uint32_t choice)
{
	/* a walk goes on over the other segments, all of which are locked in charon's manager */
	bool one_segment = run->sequence->options.table_segments == 1;
	uint32_t choices[CHOICES] = { choice, choice >> 8, choice >> 16, choice >> 3, choice >> 11 };
	bool depends;
	sa_t *sa;

	sa = sa_choose(choice, is_registered, NULL);
	if (!sa || flusher == holder || sa_match(&sa->key, &depends) != sa || depends ||
		!start_checkout(holder, &sa->key) || sa->holder != holder)
	{
		return NULL;
	}
	switch (choice / 64 % 6)
	{
		case 0:
			break;
		case 1:
			start_checkout(waiter, &sa->key);
			break;
		case 2:
			choices[1] = 3;
			start_wait(waiter, sa, choices);
			break;
		default:
			if (one_segment)
			{
				choices[1] = (const uint32_t[]){ 2, 5, 6, 9 }[choice / 512 % 4];
				start_wait(waiter, sa, choices);
			}
			else
			{
				start_checkout(waiter, &sa->key);
			}
			break;
	}
	return sa;
}

/* described in header */
void operation_end(void)
{
	uint32_t ending = run->sequence->options.ending;
	bool alone = run->sequence->options.actors == 1;
	int flusher = ending % ACTORS, holder = (flusher + 1) % ACTORS, waiter = (flusher + 2) % ACTORS, actor, i;
	uint32_t nothing[CHOICES] = { ending };
	manager_call_t *call;
	sa_t *sas[MAX_SAS], *sa = NULL;

	operation_calm();
	run_write_counts();
	if (run->spi_source == SPIS_NONE || run->spi_source == SPIS_REPEATED)
	{
		start_spi_source(alone ? 0 : flusher, SPIS_CALLBACK);
	}
	if (alone)
	{
		flusher = holder = waiter = 0;
	}
	else if (ending / ACTORS % 4)
	{
		sa = prepare_flush(flusher, holder, waiter, ending >> 4);
	}
	start_flush(flusher);
	if (is_free(waiter))
	{
		start_create(waiter, nothing);
		if (sa && run->sequence->options.table_segments == 1)
		{
			checkout_anyway(waiter, sa, WAITS_NOT);
		}
	}
	if (sa)
	{
		trace_line(run->trace, "  flush() %s", is_free(flusher) ? "is done" : "waits");
		if (ending >> 20 & 1)
		{
			start_destroy(holder, sa);
		}
		else
		{
			start_checkin(holder, sa);
		}
	}
	/* those that wait by config find nothing, and may have made another one */
	for (actor = 0; actor < ACTORS; actor++)
	{
		int count = sa_collect(sas, is_held_registered_by, &actor);

		for (i = 0; i < count && is_free(actor); i++)
		{
			start_checkin(actor, sas[i]);
		}
	}
	if (is_free(flusher) && sa_collect(sas, is_registered, NULL))
	{
		run_wrong("flush() left SAs");
	}
	/* those that were made before and never registered */
	for (actor = 0; actor < ACTORS; actor++)
	{
		int count = sa_collect(sas, is_unregistered_of, &actor);

		for (i = 0; i < count && is_free(actor); i++)
		{
			if (ending >> (21 + i % 8) & 1)
			{
				start_destroy(actor, sas[i]);
			}
			else
			{
				start_checkin(actor, sas[i]);
			}
		}
	}
	run->hold_lines = FALSE;
	run_write_lines();
	if (!is_free(flusher))
	{
		run_wrong("flush() waits for ever");
		run->give_up();
	}
	run_write_counts();
	call = call_create(METHOD_DESTROY, "destroy()");
	call->execute = execute_manager_destroy;
	call->finish = finish_manager_destroy;
	call->yes = sa_collect(sas, is_registered, NULL) > 0;
	run_call(flusher, call);
}
