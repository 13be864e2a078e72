/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup prng prng
 * @{ @ingroup differential
 *
 * The generator that everything random in a sequence comes from: splitmix64, because its whole state is the seed that a
 * failing run prints.
 */

#ifndef DIFFERENTIAL_PRNG_H_
#define DIFFERENTIAL_PRNG_H_

#include <stdint.h>

typedef struct prng_t prng_t;

struct prng_t {
	uint64_t state;
};

static inline uint64_t prng_next(prng_t *this)
{
	uint64_t z = (this->state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/** A number in [0, limit). */
static inline uint32_t prng_below(prng_t *this, uint32_t limit)
{
	return (uint32_t)((prng_next(this) >> 32) * limit >> 32);
}

#endif /** DIFFERENTIAL_PRNG_H_ @}*/
