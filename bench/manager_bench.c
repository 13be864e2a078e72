/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * charon's IKE_SA manager, in its default and in three tuned configurations, and
 * ours on the same work in the same process. One thread. Prints microseconds an
 * operation, the median of several rounds.
 *
 * usage: manager_bench [SAS ...]
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <daemon.h>
#include <sa/ike_sa_manager.h>

#include <shim/ivo_host.h>
#include <shim/ivo_ike_sa_manager.h>

#define ROUNDS 5

typedef struct {
	const char *name;
	/** 0 for ours */
	int table_size, segments;
} side_t;

static const side_t sides[] = {
	{ "1/1 (default)", 1, 1 },
	{ "1024/1", 1024, 1 },
	{ "4096/16", 4096, 16 },
	{ "65536/256", 65536, 256 },
	{ "ours", 0, 0 },
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double*)a, y = *(const double*)b;

	return x < y ? -1 : x > y;
}

static double median(double values[ROUNDS])
{
	qsort(values, ROUNDS, sizeof(double), compare);
	return values[ROUNDS / 2];
}

static uint64_t next_random(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/**
 * One line of the table
 */
static void measure(const side_t *side, int sas)
{
	double create[ROUNDS] = {}, by_id[ROUNDS], by_unique[ROUNDS], walk[ROUNDS];
	ivo_sessiontable_t *table = NULL;
	ike_sa_manager_t *manager, *stock = NULL;
	ike_sa_id_t **ids;
	uint32_t *unique;
	enumerator_t *enumerator;
	ike_sa_t *ike_sa;
	ivo_host_t host;
	double start;
	int i, round, operations;

	lib->settings->set_int(lib->settings, "%s.ikesa_table_size",
						   side->table_size, lib->ns);
	lib->settings->set_int(lib->settings, "%s.ikesa_table_segments",
						   side->segments, lib->ns);
	manager = ike_sa_manager_create();
	if (!side->table_size)
	{
		stock = manager;
		ivo_host_init(&host, "ivo-sessiontable");
		table = ivo_sessiontable_create(&host);
		manager = ivo_ike_sa_manager_create(table, stock);
	}
	charon->ike_sa_manager = manager;

	ids = calloc((size_t)sas, sizeof(*ids));
	unique = calloc((size_t)sas, sizeof(*unique));
	start = now();
	for (i = 0; i < sas; i++)
	{
		ike_sa = manager->create_new(manager, IKEV2, TRUE);
		ids[i] = ike_sa->get_id(ike_sa)->clone(ike_sa->get_id(ike_sa));
		unique[i] = ike_sa->get_unique_id(ike_sa);
		manager->checkin(manager, ike_sa);
	}
	create[0] = (now() - start) / sas;

	operations = side->table_size == 1 && sas > 10000 ? 500 : 20000;
	for (round = 0; round < ROUNDS; round++)
	{
		start = now();
		for (i = 0; i < operations; i++)
		{
			ike_sa = manager->checkout(manager, ids[next_random() % (uint64_t)sas]);
			manager->checkin(manager, ike_sa);
		}
		by_id[round] = (now() - start) / operations;

		start = now();
		for (i = 0; i < (side->table_size ? 20 : operations); i++)
		{
			ike_sa = manager->checkout_by_id(manager,
											 unique[next_random() % (uint64_t)sas]);
			manager->checkin(manager, ike_sa);
		}
		by_unique[round] = (now() - start) / i;

		start = now();
		enumerator = manager->create_enumerator(manager, TRUE);
		for (i = 0; enumerator->enumerate(enumerator, &ike_sa); i++)
		{
		}
		enumerator->destroy(enumerator);
		walk[round] = now() - start;
		if (i != sas)
		{
			fprintf(stderr, "walked over %d of %d\n", i, sas);
			exit(1);
		}
	}
	printf("| %7d | %-13s | %8.2f | %8.2f | %10.2f | %10.0f |\n", sas, side->name,
		   create[0], median(by_id), median(by_unique), median(walk));
	fflush(stdout);

	manager->flush(manager);
	manager->destroy(manager);
	if (stock)
	{
		stock->destroy(stock);
		ivo_sessiontable_destroy(table);
	}
	for (i = 0; i < sas; i++)
	{
		ids[i]->destroy(ids[i]);
	}
	free(ids);
	free(unique);
}

int main(int argc, char *argv[])
{
	int i, side;

	if (!library_init("", "charon") || !libcharon_init() ||
		!lib->plugins->load(lib->plugins, "random nonce openssl"))
	{
		fprintf(stderr, "libcharon can not be initialised\n");
		return 1;
	}
	charon->child_sa_manager = child_sa_manager_create();
	printf("microseconds; median of %d rounds\n", ROUNDS);
	printf("|     SAs | table         |   create | checkout | by unique  |       walk |\n");
	printf("| ------- | ------------- | -------- | -------- | ---------- | ---------- |\n");
	for (i = 1; i < argc; i++)
	{
		for (side = 0; side < (int)countof(sides); side++)
		{
			if (sides[side].table_size == 1 && atoi(argv[i]) > 50000)
			{
				continue;
			}
			measure(&sides[side], atoi(argv[i]));
		}
	}
	fflush(stdout);
	_exit(0);
}
