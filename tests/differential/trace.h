/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup trace trace
 * @{ @ingroup differential
 *
 * What one run of a sequence showed, as lines of text. Two runs are equal if their traces are: so a line holds nothing
 * that the contract leaves open (addresses, SPI values, the order in which an enumerator walks).
 *
 * The buffer may lie in memory shared with a child process and survives that child's crash.
 */

#ifndef DIFFERENTIAL_TRACE_H_
#define DIFFERENTIAL_TRACE_H_

#include <stdbool.h>
#include <stddef.h>

/** Bytes of text that one run may leave; some 200 for each operation. */
#define TRACE_SIZE (2 << 20)

typedef struct trace_t trace_t;

struct trace_t {
	/** length of the text, which is complete up to here also while it is written */
	size_t len;
	/** the text did not fit */
	bool overflow;
	char text[TRACE_SIZE];
};

void trace_clear(trace_t *this);

/**
 * Append one line; the newline is added.
 */
void trace_line(trace_t *this, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * Where two traces differ first.
 *
 * @param partial	TRUE if b may still be growing: that it ends early is no difference then
 * @return			offset of the first line that differs, -1 if there is none
 */
long trace_difference(const trace_t *a, const trace_t *b, bool partial);

/**
 * Print the operations before a difference and both versions of the line.
 */
void trace_print_difference(const trace_t *a, const char *a_name, const trace_t *b, const char *b_name, int context);

#endif /** DIFFERENTIAL_TRACE_H_ @}*/
