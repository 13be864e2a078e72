/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sequence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "actors.h"
#include "prng.h"

#define countof(array) (sizeof(array) / sizeof((array)[0]))

typedef struct theme_t theme_t;

/**
 * How often each kind of operation is drawn. Several mixes, because a uniform one rarely gets deep anywhere: what makes
 * many half-open SAs leaves few established ones.
 */
struct theme_t {
	const char *name;
	uint8_t weights[KIND_COUNT];
};

static const theme_t themes[] = {
	{ "everything", {
		[KIND_ESTABLISH] = 8, [KIND_RIVAL] = 4, [KIND_CREATE] = 8, [KIND_REGISTER] = 5, [KIND_CHECKIN] = 14,
		[KIND_DESTROY] = 5, [KIND_CHANGE] = 22, [KIND_CHECKOUT] = 10, [KIND_MESSAGE] = 14, [KIND_PACKET] = 2,
		[KIND_BY_CONFIG] = 4, [KIND_BY_ID] = 5, [KIND_BY_NAME] = 4, [KIND_ENUMERATE] = 5, [KIND_UNIQUENESS] = 4,
		[KIND_NEW_SPI] = 3, [KIND_AUDIT] = 3, [KIND_SPI_SOURCE] = 1, [KIND_DELETE_JOB] = 3, [KIND_WAIT] = 12,
		[KIND_STAND] = 3, [KIND_INITIATE] = 1, [KIND_REMEMBER] = 2, [KIND_CALM] = 3,
	} },
	{ "messages", {
		[KIND_ESTABLISH] = 3, [KIND_CREATE] = 3, [KIND_REGISTER] = 2, [KIND_CHECKIN] = 14, [KIND_DESTROY] = 4,
		[KIND_CHANGE] = 14, [KIND_CHECKOUT] = 5, [KIND_MESSAGE] = 40, [KIND_PACKET] = 4, [KIND_ENUMERATE] = 2,
		[KIND_AUDIT] = 2, [KIND_SPI_SOURCE] = 1, [KIND_DELETE_JOB] = 3, [KIND_WAIT] = 12, [KIND_INITIATE] = 2,
		[KIND_REMEMBER] = 1, [KIND_CALM] = 3,
	} },
	{ "duplicates", {
		[KIND_ESTABLISH] = 16, [KIND_RIVAL] = 20, [KIND_CREATE] = 6, [KIND_REGISTER] = 4, [KIND_CHECKIN] = 18,
		[KIND_DESTROY] = 2, [KIND_CHANGE] = 24, [KIND_CHECKOUT] = 14, [KIND_BY_CONFIG] = 4, [KIND_BY_NAME] = 2,
		[KIND_ENUMERATE] = 2, [KIND_UNIQUENESS] = 14, [KIND_AUDIT] = 4, [KIND_DELETE_JOB] = 2, [KIND_WAIT] = 10,
		[KIND_STAND] = 3, [KIND_CALM] = 2,
	} },
	{ "walks", {
		[KIND_ESTABLISH] = 10, [KIND_CREATE] = 8, [KIND_REGISTER] = 6, [KIND_CHECKIN] = 16, [KIND_DESTROY] = 5,
		[KIND_CHANGE] = 18, [KIND_CHECKOUT] = 6, [KIND_MESSAGE] = 4, [KIND_BY_CONFIG] = 14, [KIND_BY_ID] = 12,
		[KIND_BY_NAME] = 12, [KIND_ENUMERATE] = 14, [KIND_WAIT] = 18, [KIND_STAND] = 6, [KIND_NEW_SPI] = 2,
		[KIND_CALM] = 12,
	} },
	{ "initiators", {
		[KIND_ESTABLISH] = 4, [KIND_CREATE] = 14, [KIND_REGISTER] = 12, [KIND_CHECKIN] = 14, [KIND_DESTROY] = 5,
		[KIND_CHANGE] = 24, [KIND_CHECKOUT] = 18, [KIND_MESSAGE] = 12, [KIND_BY_CONFIG] = 6, [KIND_NEW_SPI] = 14,
		[KIND_AUDIT] = 2, [KIND_SPI_SOURCE] = 4, [KIND_DELETE_JOB] = 3, [KIND_WAIT] = 14, [KIND_INITIATE] = 2,
		[KIND_REMEMBER] = 8, [KIND_CALM] = 2,
	} },
};

static uint8_t draw_kind(prng_t *prng, const theme_t *theme)
{
	uint32_t total = 0, drawn;
	int kind;

	for (kind = 0; kind < KIND_COUNT; kind++)
	{
		total += theme->weights[kind];
	}
	drawn = prng_below(prng, total);
	for (kind = 0; drawn >= theme->weights[kind]; kind++)
	{
		drawn -= theme->weights[kind];
	}
	return (uint8_t)kind;
}

static void draw_options(prng_t *prng, options_t *options)
{
	static const int sizes[] = { 1, 1, 1, 4, 16, 64, 256 };
	static const int segments[] = { 1, 1, 4, 16 };
	static const int timeouts[] = { 30, 5, 120 };

	options->actors = prng_below(prng, 10) < 3 ? 1 : ACTORS;
	options->table_size = sizes[prng_below(prng, countof(sizes))];
	options->table_segments = segments[prng_below(prng, countof(segments))];
	if (options->table_segments > options->table_size)
	{
		options->table_segments = options->table_size;
	}
	options->reuse_ikesa = prng_below(prng, 4) != 0;
	options->ikesa_limit = prng_below(prng, 10) < 6 ? 0 : 3 + prng_below(prng, 10);
	options->half_open_timeout = timeouts[prng_below(prng, countof(timeouts))];
	if (prng_below(prng, 4) == 0)
	{	/* as a cluster does: the first two bytes tell the node */
		options->spi_mask = 0xffff000000000000ull;
		options->spi_label = 0xc0de000000000000ull;
	}
	options->spi_callback = prng_below(prng, 10) < 7;
	options->few = prng_below(prng, 2);
	options->policies = (uint32_t)prng_next(prng);
	options->ending = (uint32_t)(prng_next(prng) >> 32);
}

/* described in header */
void sequence_generate(sequence_t *this, uint64_t seed, int count)
{
	prng_t prng = { .state = seed };
	const theme_t *theme;
	int i, j;

	memset(this, 0, sizeof(*this));
	this->seed = seed;
	this->count = count;
	draw_options(&prng, &this->options);
	theme = &themes[prng_below(&prng, countof(themes))];
	for (i = 0; i < count; i++)
	{
		operation_t *operation = &this->operations[i];

		operation->kind = draw_kind(&prng, theme);
		operation->actor = (uint8_t)prng_below(&prng, this->options.actors);
		for (j = 0; j < CHOICES; j++)
		{
			operation->choice[j] = (uint32_t)(prng_next(&prng) >> 32);
		}
	}
}

/* described in header */
void sequence_describe(const sequence_t *this, char *buf, int len)
{
	const options_t *options = &this->options;

	snprintf(buf, len, "seed %" PRIu64 ": %d operations, threads %d, ikesa_table_size %d, ikesa_table_segments %d, "
			 "reuse_ikesa %s, ikesa_limit %d, half_open_timeout %d, spi_mask %016" PRIx64 ", SPIs from %s",
			 this->seed, this->count, options->actors, options->table_size, options->table_segments,
			 options->reuse_ikesa ? "yes" : "no", options->ikesa_limit, options->half_open_timeout,
			 options->spi_mask, options->spi_callback ? "a callback" : "the manager");
}
