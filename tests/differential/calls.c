/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Calls under way, and what the trace says of them.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "run.h"

#include <stdarg.h>
#include <stdio.h>

/* described in header */
manager_call_t *call_create(method_t method, const char *fmt, ...)
{
	manager_call_t *this = calloc(1, sizeof(*this));
	va_list args;

	this->method = method;
	va_start(args, fmt);
	vsnprintf(this->text, sizeof(this->text), fmt, args);
	va_end(args);
	return this;
}

/* described in header */
void call_result(manager_call_t *this, const char *fmt, ...)
{
	size_t len = strlen(this->result);
	va_list args;

	va_start(args, fmt);
	vsnprintf(this->result + len, sizeof(this->result) - len, fmt, args);
	va_end(args);
}

/**
 * In the actor's thread.
 */
static void execute_call(call_t *call)
{
	manager_call_t *this = (manager_call_t*)call;

	if (this->reset_bus)
	{
		charon->bus->set_sa(charon->bus, NULL);
	}
	this->execute(this);
	this->bus = charon->bus->get_sa(charon->bus);
}

/**
 * Keep a line until those of all actors are there, as the order in which they return is not defined.
 */
static void add_line(int actor, char *text)
{
	if (run->line_count == countof(run->lines))
	{
		run_wrong("too many calls returned at once");
		free(text);
		return;
	}
	run->lines[run->line_count].actor = actor;
	run->lines[run->line_count++].text = text;
}

static int compare_lines(const void *a, const void *b)
{
	const typeof(run->lines[0]) *x = a, *y = b;

	return x->actor == y->actor ? strcmp(x->text, y->text) : x->actor - y->actor;
}

/* described in header */
void check_trace(void)
{
	if (run->expected && trace_difference(run->expected, run->trace, TRUE) >= 0)
	{
		run->give_up();
	}
}

/* described in header */
void run_write_lines(void)
{
	int i;

	qsort(run->lines, run->line_count, sizeof(run->lines[0]), compare_lines);
	for (i = 0; i < run->line_count; i++)
	{
		trace_line(run->trace, "%s", run->lines[i].text);
		free(run->lines[i].text);
	}
	run->line_count = 0;
	check_trace();
}

/**
 * Note what came of a call that returned.
 */
static void finish_call(int actor, manager_call_t *call)
{
	char bus[16], *text;

	call->finish(call, actor);
	run->bus[actor] = call->bus ? sa_find(call->bus) : NULL;
	if (!call->silent)
	{
		if (asprintf(&text, "%s%d, actor %d: %s ->%s; bus %s%s", call->parked ? "  at last, " : "", run->nr, actor,
					 call->text, call->result, call->bus ? sa_name(run->bus[actor], bus) : "none",
					 call->events ?: "") < 0)
		{
			abort();
		}
		add_line(actor, text);
	}
}

static void destroy_call(manager_call_t *call)
{
	DESTROY_IF(call->id);
	if (call->job)
	{	/* has the message, too */
		call->job->destroy(call->job);
	}
	else
	{
		DESTROY_IF(call->message);
	}
	free(call->init.ptr);
	free(call->events);
	free(call);
}

/**
 * Nothing moves any more, or never stops.
 */
static void stuck(void)
{
	int i;

	for (i = 0; i < ACTORS; i++)
	{
		if (run->calls[i])
		{
			trace_line(run->trace, "%d, actor %d: %s -> neither returns nor waits", run->nr, i, run->calls[i]->text);
		}
	}
	run->give_up();
}

/**
 * Do those that wait have a reason to?
 */
static void check_waiting(int actor)
{
	int i, j;

	for (i = 0; i < ACTORS; i++)
	{
		manager_call_t *call = run->calls[i];
		bool reason = FALSE;

		if (!call)
		{
			continue;
		}
		renew_wants(call);
		for (j = 0; j < call->want_count; j++)
		{
			reason = reason || (call->wants[j]->alive && call->wants[j]->holder != -1);
		}
		if (!call->parked)
		{
			call->parked = TRUE;
			if (!run->hold_lines || i == actor)
			{
				trace_line(run->trace, "%d, actor %d: %s -> waits", run->nr, i, call->text);
			}
		}
		if (!reason && !run->flushing && !run->hold_lines)
		{
			run_wrong("actor %d waits for something that nobody has: %s", i, call->text);
		}
	}
}

/**
 * Make a call that just checks an SA in.
 */
static void execute_checkin(manager_call_t *this)
{
	run->manager->checkin(run->manager, this->sa->ike_sa);
}

static void finish_checkin(manager_call_t *this, int actor)
{
	if (this->sa->holder == actor)
	{
		this->sa->holder = -1;
		this->sa->processing = -1;
	}
}

static void check_in_again(int actor, sa_t *sa)
{
	manager_call_t *call = call_create(METHOD_CHECKIN, "checkin");

	call->execute = execute_checkin;
	call->finish = finish_checkin;
	call->sa = sa;
	call->silent = TRUE;
	call->call.run = execute_call;
	run->calls[actor] = call;
	actors_post(actor, &call->call);
}

/**
 * Does a call give up an SA?
 */
static bool gives_up(manager_call_t *call)
{
	return call->method == METHOD_CHECKIN || call->method == METHOD_CHECKIN_AND_DESTROY;
}

/**
 * Collect calls that returned: first those that gave an SA up, then those that got one. Of several that wanted one SA
 * whoever got it passes it on to the next.
 */
static void collect_calls(void)
{
	bool again = TRUE;
	int i;

	while (again)
	{
		if (!actors_settle())
		{
			stuck();
		}
		/* what parked actors noted before they parked is visible from here on */
		pthread_mutex_lock(&run->mutex);
		pthread_mutex_unlock(&run->mutex);
		again = FALSE;
		/* what a passed on SA brings about is for the next round, when all have settled again */
		for (i = 0; i < 2 * ACTORS && !again; i++)
		{
			int actor = i % ACTORS;
			manager_call_t *call = run->calls[actor];

			if (!call || gives_up(call) != (i < ACTORS) || !actors_collect(actor))
			{
				continue;
			}
			run->calls[actor] = NULL;
			finish_call(actor, call);
			if (call->contended && call->got)
			{
				check_in_again(actor, sa_of(call->got, NULL));
				again = TRUE;
			}
			destroy_call(call);
		}
	}
}

/* described in header */
void run_call(int actor, manager_call_t *call)
{
	int i, j;

	/* an SA that is gone must not be found on the bus by accident: another one may get its address */
	call->reset_bus = run->bus[actor] && !run->bus[actor]->alive;
	call->call.run = execute_call;
	if (call->waits == WAITS_PLAIN)
	{
		for (i = 0; i < ACTORS; i++)
		{
			for (j = 0; run->calls[i] && run->calls[i]->waits == WAITS_PLAIN && j < call->want_count; j++)
			{
				if (call_wants(run->calls[i], call->wants[j]))
				{
					run->calls[i]->contended = call->contended = TRUE;
				}
			}
		}
	}
	run->calls[actor] = call;
	actors_post(actor, &call->call);
	collect_calls();
	refresh_sas();
	check_waiting(actor);
	if (!run->hold_lines)
	{
		run_write_lines();
	}
}

/* described in header */
void run_write_counts(void)
{
	char peers[128] = "";
	size_t len = 0;
	u_int count, half_open, responder;
	ike_sa_manager_t *manager = run->manager;
	int i;

	count = manager->get_count(manager);
	half_open = manager->get_half_open_count(manager, NULL, FALSE) - run->leaked_total;
	responder = manager->get_half_open_count(manager, NULL, TRUE) - run->leaked_total;
	coverage_outcome(METHOD_GET_COUNT, count ? OUTCOME_TRUE : OUTCOME_FALSE);
	coverage_outcome(METHOD_GET_HALF_OPEN_COUNT, half_open ? OUTCOME_TRUE : OUTCOME_FALSE);
	for (i = 0; i < PEER_HOSTS; i++)
	{
		u_int all, as_responder;

		all = manager->get_half_open_count(manager, environment->peers[i], FALSE) - run->leaked[i];
		as_responder = manager->get_half_open_count(manager, environment->peers[i], TRUE) - run->leaked[i];
		if (all || as_responder)
		{
			len += snprintf(peers + len, sizeof(peers) - len, " peer%d %d/%d", i, (int)all, (int)as_responder);
		}
	}
	trace_line(run->trace, "  %u SAs, %d half-open, %d as responder%s; %u jobs", count, (int)half_open, (int)responder,
			   peers, lib->scheduler->get_job_load(lib->scheduler));
	check_trace();
}
