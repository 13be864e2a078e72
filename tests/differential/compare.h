/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup compare compare
 * @{ @ingroup differential
 *
 * Run a sequence against two managers, one after the other in one process, and compare the traces. The process is a
 * child of its own for each sequence, so that a crash or threads that hang end nothing but that.
 */

#ifndef DIFFERENTIAL_COMPARE_H_
#define DIFFERENTIAL_COMPARE_H_

#include "coverage.h"
#include "managers.h"
#include "sequence.h"

typedef enum verdict_t verdict_t;

enum verdict_t {
	/** both traces are the same */
	VERDICT_EQUAL,
	/** the second manager differs, crashed or hung */
	VERDICT_DIFFERENT,
	/** charon's manager did what the harness did not expect of it: a mistake in the harness */
	VERDICT_HARNESS,
};

/**
 * Get shared memory for traces and coverage.
 *
 * @param fork		FALSE to run everything in this process, for valgrind and leak checks; it ends with the first
 * 					difference then
 */
bool compare_init(bool fork);

/**
 * Compare charon's manager and another one.
 *
 * @param counted	whether the calls count for the coverage
 */
verdict_t compare_run(const sequence_t *sequence, const side_t *other, bool counted);

/**
 * Print what the last comparison found.
 *
 * @param lines		of the trace before the difference
 */
void compare_print(const sequence_t *sequence, const side_t *other, int lines);

/**
 * Leave out operations as long as the difference stays, and print what is left.
 */
void compare_shrink(const sequence_t *sequence, const side_t *other);

#endif /** DIFFERENTIAL_COMPARE_H_ @}*/
