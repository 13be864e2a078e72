/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup actors actors
 * @{ @ingroup differential
 *
 * The threads that call the manager. The director (the main thread) gives one of them a call, and then waits until all
 * of them are either idle or parked: blocked inside the manager where only another call can release them. So it is
 * always known, without any sleeping, who waits and who has been released.
 */

#ifndef DIFFERENTIAL_ACTORS_H_
#define DIFFERENTIAL_ACTORS_H_

#include <stdbool.h>

/** Three are enough for 'one holds it, two want it'. */
#define ACTORS 3

/** Seconds after which a call that neither returns nor waits is given up; long, for valgrind and loaded machines. */
#define ACTORS_DEADLINE 20

typedef struct call_t call_t;

/**
 * Something for an actor to do; embed it as first member.
 */
struct call_t {
	/** run in the actor's thread */
	void (*run)(call_t *this);
};

/**
 * Start the threads.
 */
void actors_start(void);

/**
 * End the threads, all of which have to be idle.
 */
void actors_stop(void);

/**
 * Give an idle actor something to do.
 */
void actors_post(int actor, call_t *call);

/**
 * Wait until each actor is idle or parked.
 *
 * @return			FALSE if one is still running after the deadline
 */
bool actors_settle(void);

/**
 * Take back what an actor has finished.
 *
 * @return			the call, NULL if there is none or it has not returned
 */
call_t *actors_collect(int actor);

/**
 * Is the actor without a call (finished and collected)?
 */
bool actors_idle(int actor);

/**
 * The number of the actor that is the current thread, -1 if it is none.
 */
int actors_current(void);

/**
 * The call that the current thread is running, NULL if it is no actor.
 */
call_t *actors_current_call(void);

#endif /** DIFFERENTIAL_ACTORS_H_ @}*/
