/* SPDX-License-Identifier: GPL-2.0-or-later */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "actors.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <library.h>
#include <threading/thread.h>

typedef struct actor_t actor_t;

struct actor_t {
	/** its place in the table below */
	int nr;
	/** its thread, made by strongSwan as charon's are */
	thread_t *thread;
	/** /proc/self/task/TID/status of that thread */
	int status;
	/** what it has to do, or has done; NULL if idle */
	call_t *call;
	/** the call was given to it, and has not returned */
	bool busy;
	/** it has to end */
	bool quit;
	/** it waits here for a call */
	pthread_cond_t posted;
};

static actor_t actors[ACTORS];

/** Protects the table above. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/** A call has returned, or an actor has started. */
static pthread_cond_t returned = PTHREAD_COND_INITIALIZER;

static __thread actor_t *self;

static void *actor_main(void *arg)
{
	actor_t *this = arg;
	char path[64];

	self = this;
	snprintf(path, sizeof(path), "/proc/self/task/%ld/status", syscall(SYS_gettid));

	pthread_mutex_lock(&mutex);
	this->status = open(path, O_RDONLY | O_CLOEXEC);
	if (this->status < 0)
	{
		fprintf(stderr, "differential: can not read %s: %s; is /proc mounted?\n", path, strerror(errno));
		abort();
	}
	pthread_cond_signal(&returned);
	while (true)
	{
		while (!this->busy && !this->quit)
		{
			pthread_cond_wait(&this->posted, &mutex);
		}
		if (this->quit)
		{
			break;
		}
		pthread_mutex_unlock(&mutex);
		this->call->run(this->call);
		pthread_mutex_lock(&mutex);
		this->busy = false;
		pthread_cond_signal(&returned);
	}
	close(this->status);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

/* described in header */
void actors_start(void)
{
	int i;

	for (i = 0; i < ACTORS; i++)
	{
		actor_t *this = &actors[i];

		memset(this, 0, sizeof(*this));
		this->nr = i;
		this->status = -1;
		pthread_cond_init(&this->posted, NULL);
		this->thread = thread_create(actor_main, this);
		if (!this->thread)
		{
			fprintf(stderr, "differential: can not create a thread\n");
			abort();
		}
		pthread_mutex_lock(&mutex);
		while (this->status < 0)
		{
			pthread_cond_wait(&returned, &mutex);
		}
		pthread_mutex_unlock(&mutex);
	}
}

/* described in header */
void actors_stop(void)
{
	int i;

	for (i = 0; i < ACTORS; i++)
	{
		pthread_mutex_lock(&mutex);
		actors[i].quit = true;
		pthread_cond_signal(&actors[i].posted);
		pthread_mutex_unlock(&mutex);
		actors[i].thread->join(actors[i].thread);
		pthread_cond_destroy(&actors[i].posted);
	}
}

/* described in header */
void actors_post(int actor, call_t *call)
{
	pthread_mutex_lock(&mutex);
	actors[actor].call = call;
	actors[actor].busy = true;
	pthread_cond_signal(&actors[actor].posted);
	pthread_mutex_unlock(&mutex);
}

/**
 * Read whether a thread sleeps, and how often it was switched out so far.
 *
 * @return			number of context switches, -1 if the thread does not sleep
 */
static long long sleeping_since(actor_t *this)
{
	char buf[4096], *pos;
	long long voluntary, involuntary;
	ssize_t len;

	len = pread(this->status, buf, sizeof(buf) - 1, 0);
	if (len <= 0)
	{
		return -1;
	}
	buf[len] = '\0';
	pos = strstr(buf, "\nState:\t");
	if (!pos || pos[8] != 'S')
	{
		return -1;
	}
	pos = strstr(pos, "\nvoluntary_ctxt_switches:\t");
	if (!pos || sscanf(pos, "\nvoluntary_ctxt_switches: %lld\nnonvoluntary_ctxt_switches: %lld",
					   &voluntary, &involuntary) != 2)
	{
		return -1;
	}
	return voluntary + involuntary;
}

/**
 * Do all actors that have not returned sleep, so that nobody is left who could wake them?
 *
 * Looked at twice: a thread that sleeps both times and was not switched in between has slept all the while, so there
 * was an instant (between the two passes) at which all of them slept. A thread that is woken up counts as running from
 * the moment its waker leaves the system call, so nothing is under way at that instant either. The idle ones wait for
 * us.
 */
static bool all_parked(const bool busy[ACTORS])
{
	long long switches[ACTORS];
	bool parked = true;
	int i;

	for (i = 0; i < ACTORS; i++)
	{
		switches[i] = 0;
		if (busy[i] && (switches[i] = sleeping_since(&actors[i])) < 0)
		{
			return false;
		}
	}
	for (i = 0; i < ACTORS; i++)
	{
		if (busy[i] && sleeping_since(&actors[i]) != switches[i])
		{
			parked = false;
		}
	}
	return parked;
}

/* described in header */
bool actors_settle(void)
{
	struct timespec deadline, until;
	bool busy[ACTORS], late = false;
	int i, count;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += ACTORS_DEADLINE;

	pthread_mutex_lock(&mutex);
	while (true)
	{
		for (i = 0, count = 0; i < ACTORS; i++)
		{
			busy[i] = actors[i].busy;
			count += busy[i];
		}
		if (!count || late)
		{
			break;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		late = until.tv_sec > deadline.tv_sec;
		until.tv_nsec += 50000;
		if (until.tv_nsec >= 1000000000)
		{
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		if (pthread_cond_clockwait(&returned, &mutex, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
		{
			bool parked, same = true;

			/* without the mutex, else an actor that is about to return would sleep, too, waiting for it */
			pthread_mutex_unlock(&mutex);
			parked = all_parked(busy);
			pthread_mutex_lock(&mutex);
			for (i = 0; i < ACTORS; i++)
			{
				same = same && busy[i] == actors[i].busy;
			}
			if (parked && same)
			{
				break;
			}
		}
	}
	pthread_mutex_unlock(&mutex);
	return !late;
}

/* described in header */
call_t *actors_collect(int actor)
{
	call_t *call = NULL;

	pthread_mutex_lock(&mutex);
	if (!actors[actor].busy)
	{
		call = actors[actor].call;
		actors[actor].call = NULL;
	}
	pthread_mutex_unlock(&mutex);
	return call;
}

/* described in header */
bool actors_idle(int actor)
{
	return !actors[actor].call;
}

/* described in header */
int actors_current(void)
{
	return self ? self->nr : -1;
}

/* described in header */
call_t *actors_current_call(void)
{
	return self ? self->call : NULL;
}
