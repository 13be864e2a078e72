/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "run.h"

#include <inttypes.h>
#include <stdio.h>

#include "forward.h"
#include "prng.h"

run_t *run;

/* described in header */
uint64_t run_spi(void *data __attribute__((unused)))
{
	prng_t prng;
	uint64_t spi;

	pthread_mutex_lock(&run->mutex);
	if (run->spi_source == SPIS_NONE)
	{
		spi = 0;
	}
	else if (run->spi_source == SPIS_REPEATED && !forward_is_changing_spi())
	{
		spi = run->spi_last;
	}
	else
	{
		prng.state = run->spi_state;
		spi = prng_next(&prng) | 1;
		run->spi_state = prng.state;
		if (!forward_is_changing_spi())
		{	/* where an SPI changes charon's manager uses only a part of this, so nobody else may get it */
			run->spi_last = spi;
		}
	}
	pthread_mutex_unlock(&run->mutex);
	return spi;
}

/* described in header */
ike_sa_manager_t *run_create_manager(const side_t *side, const options_t *options)
{
	ike_sa_manager_t *manager;
	char buf[32];

	lib->settings->set_int(lib->settings, "%s.ikesa_table_size", options->table_size, lib->ns);
	lib->settings->set_int(lib->settings, "%s.ikesa_table_segments", options->table_segments, lib->ns);
	lib->settings->set_bool(lib->settings, "%s.reuse_ikesa", options->reuse_ikesa, lib->ns);
	lib->settings->set_int(lib->settings, "%s.ikesa_limit", options->ikesa_limit, lib->ns);
	lib->settings->set_int(lib->settings, "%s.half_open_timeout", options->half_open_timeout, lib->ns);
	snprintf(buf, sizeof(buf), "0x%016" PRIx64, options->spi_mask);
	lib->settings->set_str(lib->settings, "%s.spi_mask", buf, lib->ns);
	snprintf(buf, sizeof(buf), "0x%016" PRIx64, options->spi_label);
	lib->settings->set_str(lib->settings, "%s.spi_label", buf, lib->ns);

	manager = side->create();
	if (!manager)
	{
		fprintf(stderr, "differential: %s manager can not be created\n", side->name);
		abort();
	}
	manager = forward_create_counting(manager);
	charon->ike_sa_manager = manager;
	return manager;
}

/* described in header */
void run_destroy_manager(const side_t *side, ike_sa_manager_t *manager)
{
	uint64_t delegated;

	manager->destroy(manager);
	charon->ike_sa_manager = NULL;
	if (side->delegated_calls)
	{
		delegated = side->delegated_calls();
		coverage->delegated_calls += delegated;
		coverage->delegation_checks++;
		run->delegated_calls = delegated;
	}
	if (side->clean_up)
	{
		side->clean_up();
	}
}

/**
 * Free what the run collected; all SAs should be gone.
 */
static void clean_up(void)
{
	char buf[16];
	int i;

	for (i = 0; i < run->sa_count; i++)
	{
		sa_t *sa = &run->sas[i];

		if (sa->alive)
		{
			run_wrong("%s outlives the manager", sa_name(sa, buf));
		}
		DESTROY_IF(sa->my_id);
		DESTROY_IF(sa->other_id);
		free(sa->init.ptr);
	}
	for (i = 0; i < min(run->sent_count, MAX_PACKETS); i++)
	{
		free(run->sent[i].data.ptr);
	}
	for (i = 0; i < PEER_CFGS; i++)
	{
		run->cfgs[i]->destroy(run->cfgs[i]);
	}
}

/* described in header */
void run_sequence(const sequence_t *sequence, const side_t *side, trace_t *trace, const trace_t *expected,
				  void (*give_up)(void))
{
	listener_t *listener = events_listener();
	int i;

	run = calloc(1, sizeof(*run));
	run->sequence = sequence;
	run->side = side;
	run->trace = trace;
	run->expected = expected;
	run->give_up = give_up;
	run->spi_state = sequence->seed;
	run->spi_source = sequence->options.spi_callback ? SPIS_CALLBACK : SPIS_MANAGER;
	run->stander = -1;
	pthread_mutex_init(&run->mutex, NULL);
	trace_clear(trace);

	environment_create_cfgs(sequence->options.policies, run->cfgs);
	charon->bus->add_listener(charon->bus, listener);
	run->manager = run_create_manager(side, &sequence->options);
	if (run->spi_source == SPIS_CALLBACK)
	{
		run->manager->set_spi_cb(run->manager, run_spi, NULL);
		coverage_outcome(METHOD_SET_SPI_CB, OUTCOME_DONE);
	}
	actors_start();
	/* a long sequence ends when there is no more room for it, on both sides */
	for (i = 0; i < sequence->count && run->sa_count < MAX_SAS - 32 && trace->len < TRACE_SIZE / 4 * 3; i++)
	{
		run->nr = i;
		operation_run(&sequence->operations[i]);
	}
	run->nr = i;
	operation_end();
	actors_stop();
	charon->bus->remove_listener(charon->bus, listener);
	lib->scheduler->flush(lib->scheduler);
	clean_up();
	if (run->delegated_calls)
	{
		trace_line(trace, "%" PRIu64 " calls were left to charon's own manager", run->delegated_calls);
	}
	check_trace();
	pthread_mutex_destroy(&run->mutex);
	free(run);
	run = NULL;
}
