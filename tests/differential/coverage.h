/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup coverage coverage
 * @{ @ingroup differential
 *
 * How often each of the 20 methods of ike_sa_manager_t ran, and with which outcome. A run that never saw an outcome
 * that it should have seen proves nothing about it, so it fails.
 */

#ifndef DIFFERENTIAL_COVERAGE_H_
#define DIFFERENTIAL_COVERAGE_H_

#include <stdbool.h>
#include <stdint.h>

typedef enum method_t method_t;
typedef enum outcome_t outcome_t;
typedef struct coverage_t coverage_t;

/**
 * The methods of ike_sa_manager_t.
 */
enum method_t {
	METHOD_CREATE_NEW,
	METHOD_CHECKOUT_NEW,
	METHOD_CHECKOUT,
	METHOD_TRACK_INIT,
	METHOD_CHECKOUT_BY_MESSAGE,
	METHOD_CHECKOUT_BY_CONFIG,
	METHOD_NEW_INITIATOR_SPI,
	METHOD_CHECK_UNIQUENESS,
	METHOD_HAS_CONTACT,
	METHOD_CHECKOUT_BY_ID,
	METHOD_CHECKOUT_BY_NAME,
	METHOD_CREATE_ENUMERATOR,
	METHOD_CREATE_ID_ENUMERATOR,
	METHOD_CHECKIN,
	METHOD_CHECKIN_AND_DESTROY,
	METHOD_GET_COUNT,
	METHOD_GET_HALF_OPEN_COUNT,
	METHOD_SET_SPI_CB,
	METHOD_FLUSH,
	METHOD_DESTROY,
	METHOD_COUNT,
};

/**
 * Classes of outcomes. What each method is expected to show is listed in coverage.c.
 */
enum outcome_t {
	/** an SA that was there */
	OUTCOME_HIT,
	/** no such SA */
	OUTCOME_MISS,
	/** a new SA */
	OUTCOME_NEW,
	/** the SA that an earlier copy of the same initial message made */
	OUTCOME_RETRANSMIT,
	/** refused: the SA is processing this very message */
	OUTCOME_PROCESSING,
	/** refused: ikesa_limit */
	OUTCOME_LIMIT,
	/** refused: no SPI could be allocated */
	OUTCOME_NO_SPI,
	/** one of several SAs that fit */
	OUTCOME_ONE_OF_SEVERAL,
	/** got the SA after waiting for another thread */
	OUTCOME_WAITED,
	/** waited, and was driven out because the SA was destroyed */
	OUTCOME_DRIVEN_OUT,
	/** waited, and was driven out, or refused at once, by flush() */
	OUTCOME_FLUSHED,
	/** yes, or all of it */
	OUTCOME_TRUE,
	/** no, or nothing */
	OUTCOME_FALSE,
	/** with an SA that is not registered */
	OUTCOME_UNREGISTERED,
	/** with other threads waiting for the SA */
	OUTCOME_WITH_WAITERS,
	/** abandoned half way */
	OUTCOME_BROKEN_OFF,
	/** called, where there is nothing to tell apart */
	OUTCOME_DONE,
	OUTCOME_COUNT,
};

struct coverage_t {
	/** calls of a method through the manager's pointer, the ones that charon's jobs make included */
	uint64_t calls[METHOD_COUNT];
	/** outcomes of the calls that the harness itself made */
	uint64_t outcomes[METHOD_COUNT][OUTCOME_COUNT];
	/** sequences after which ours was asked how many calls it left to charon's manager, and their sum */
	uint64_t delegation_checks;
	uint64_t delegated_calls;
};

/** The one in use; may lie in memory shared with children. */
extern coverage_t *coverage;

extern const char *method_names[METHOD_COUNT];

static inline void coverage_call(method_t method)
{
	__atomic_add_fetch(&coverage->calls[method], 1, __ATOMIC_RELAXED);
}

static inline void coverage_outcome(method_t method, outcome_t outcome)
{
	__atomic_add_fetch(&coverage->outcomes[method][outcome], 1, __ATOMIC_RELAXED);
}

/**
 * Print the table.
 *
 * @param required	TRUE if all that can be seen should have been seen
 * @return			number of methods and outcomes that are missing
 */
int coverage_report(bool required);

#endif /** DIFFERENTIAL_COVERAGE_H_ @}*/
