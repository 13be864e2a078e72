/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The differential harness for charon's IKE_SA manager and ours: see README.md.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allowed.h"
#include "compare.h"
#include "environment.h"
#include "plants.h"

/** Sequences of a short run. */
#define SEEDS_DEFAULT 300
#define SEEDS_MAX 100000000
#define MINUTES_MAX 10080

/** A run of at least that much has to have seen everything. */
#define SEEDS_FOR_COVERAGE 200
#define OPERATIONS_FOR_COVERAGE 100

/** Failing seeds after which a run ends. */
#define FAILURES_MAX 3

typedef struct arguments_t arguments_t;

struct arguments_t {
	/** first seed, and whether it was given */
	uint64_t seed;
	bool seed_given;
	/** how many, or for how long (0 for the former) */
	long seeds;
	long minutes;
	/** operations for each */
	int operations;
	/** the only plant to try */
	plant_t *plant;
	bool verbose;
	bool fork;
};

static int passed, failed;

/**
 * Asked by AddressSanitizer, if it is built in: what libcrypto keeps until the process ends is no leak.
 */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libcrypto.so\n";
}

/**
 * Asked by ThreadSanitizer: charon's flush() locks all segments of its table, in an order that does no harm, and its
 * checkout_by_message() leaves a mutex locked (see allowed.c).
 */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "deadlock:libstrongswan.so\ndeadlock:libcharon.so\nmutex:libstrongswan.so\n";
}

/**
 * A race ends the child that runs a sequence, which then counts as failed.
 */
const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: differential [OPTION ...]\n"
		"\n"
		"Runs random sequences of operations on charon's IKE_SA manager and on ours and compares all that can be\n"
		"seen: results, the SA on the bus, events and alerts, counts, who waits for whom. Without options it also\n"
		"tries each difference that is allowed, and planted bugs that it has to catch.\n"
		"\n"
		"  --seed N         first seed, and only sequences: what a failing run printed (default 1)\n"
		"  --seeds COUNT    how many seeds, 1 to %d (default %d; 1 after --seed)\n"
		"  --minutes M      go on for M minutes, 1 to %d, from a seed made of the clock if none is given\n"
		"  --ops M          operations in a sequence, %d to %d (default %d)\n"
		"  --plant NAME     only look for this planted bug, from --seed on\n"
		"  --list-plants    list the planted bugs\n"
		"  --verbose        write what charon logs, and each sequence, to stderr\n"
		"  --no-fork        run all in one process, for valgrind; ends at the first difference, and only sequences\n"
		"  --help           this\n"
		"\n"
		"Exit status: 0 if all passed, 1 if not, 2 for wrong usage.\n",
		SEEDS_MAX, SEEDS_DEFAULT, MINUTES_MAX, OPERATIONS_MIN, OPERATIONS_MAX, OPERATIONS_DEFAULT);
}

/**
 * Read a number in a range, or end.
 */
static uint64_t number(const char *option, const char *text, uint64_t from, uint64_t to)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end || text[0] == '-' || value < from || value > to)
	{
		fprintf(stderr, "differential: --%s: '%s' is no number from %" PRIu64 " to %" PRIu64 "\n", option, text, from,
				to);
		exit(2);
	}
	return value;
}

static void list_plants(void)
{
	int i;

	for (i = 0; i < plant_count; i++)
	{
		printf("%-27s within %3d seeds: %s\n", plants[i].side.name, plants[i].seeds, plants[i].bug);
	}
}

static void parse(int argc, char *argv[], arguments_t *arguments)
{
	enum { SEED = 1, SEEDS, MINUTES, OPS, PLANT, LIST, VERBOSE, NO_FORK, HELP };
	static const struct option options[] = {
		{ "seed", required_argument, NULL, SEED },
		{ "seeds", required_argument, NULL, SEEDS },
		{ "minutes", required_argument, NULL, MINUTES },
		{ "ops", required_argument, NULL, OPS },
		{ "plant", required_argument, NULL, PLANT },
		{ "list-plants", no_argument, NULL, LIST },
		{ "verbose", no_argument, NULL, VERBOSE },
		{ "no-fork", no_argument, NULL, NO_FORK },
		{ "help", no_argument, NULL, HELP },
		{}
	};
	int option;

	*arguments = (arguments_t){
		.seed = 1,
		.operations = OPERATIONS_DEFAULT,
		.fork = TRUE,
	};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case SEED:
				arguments->seed = number("seed", optarg, 0, UINT64_MAX);
				arguments->seed_given = TRUE;
				break;
			case SEEDS:
				arguments->seeds = (long)number("seeds", optarg, 1, SEEDS_MAX);
				break;
			case MINUTES:
				arguments->minutes = (long)number("minutes", optarg, 1, MINUTES_MAX);
				break;
			case OPS:
				arguments->operations = (int)number("ops", optarg, OPERATIONS_MIN, OPERATIONS_MAX);
				break;
			case PLANT:
				arguments->plant = plant_find(optarg);
				if (!arguments->plant)
				{
					fprintf(stderr, "differential: --plant: there is no plant '%s'; --list-plants lists them\n",
							optarg);
					exit(2);
				}
				break;
			case LIST:
				list_plants();
				exit(0);
			case VERBOSE:
				arguments->verbose = TRUE;
				break;
			case NO_FORK:
				arguments->fork = FALSE;
				break;
			case HELP:
				usage(stdout);
				exit(0);
			default:
				fprintf(stderr, "differential: see --help\n");
				exit(2);
		}
	}
	if (optind < argc)
	{
		fprintf(stderr, "differential: '%s' is no option; see --help\n", argv[optind]);
		exit(2);
	}
	if (arguments->seeds && arguments->minutes)
	{
		fprintf(stderr, "differential: --seeds and --minutes exclude each other\n");
		exit(2);
	}
	if (arguments->minutes && !arguments->seed_given)
	{	/* others than in each short run; the seed is printed with a failure */
		arguments->seed = (uint64_t)time(NULL) * 1000003;
	}
	if (!arguments->seeds)
	{
		arguments->seeds = arguments->seed_given ? 1 : SEEDS_DEFAULT;
	}
}

/**
 * Say how far it is, at most every two seconds.
 */
static void progress(time_t start, const char *what, uint64_t done, uint64_t of, bool minutes)
{
	static time_t told;
	time_t now = time(NULL);

	if (now - start < 2 || now - told < (minutes ? 30 : 2))
	{
		return;
	}
	told = now;
	if (of)
	{
		printf("  … %s: %" PRIu64 " of %" PRIu64 "\n", what, done, of);
	}
	else
	{
		printf("  … %s: %" PRIu64 ", %d failed, after %ld minutes\n", what, done, failed, (long)(now - start) / 60);
	}
	fflush(stdout);
}

/**
 * Try all differences that are allowed, on both sides.
 */
static void try_allowed(void)
{
	int i;

	printf("where ours may differ:\n");
	for (i = 0; i < allowed_count; i++)
	{
		const allowed_t *entry = &allowed[i];
		int stock, ours;

		stock = allowed_test(entry, &side_stock);
		ours = allowed_test(entry, &side_ours);
		if (stock == 0 && ours >= 0)
		{
			passed++;
			printf("  %s: charon's %s; ours %s\n", entry->what, entry->behaviours[0],
				   stock == ours ? "too" : entry->behaviours[ours]);
			continue;
		}
		failed++;
		printf("FAILED: %s (%s):\n", entry->what, entry->reason);
		if (stock)
		{
			printf("  charon's does not do what the entry in allowed.c says (%s): correct or remove it\n",
				   entry->behaviours[0]);
		}
		if (ours < 0)
		{
			printf("  ours does neither of what is allowed: '%s' or '%s'\n", entry->behaviours[0],
				   entry->behaviours[1]);
		}
	}
}

/**
 * Find out what sequences have to take into account.
 */
static bool find_out_leaks(void)
{
	int stock = allowed_test(allowed_half_open, &side_stock), ours = allowed_test(allowed_half_open, &side_ours), i;

	if (stock < 0 || ours < 0)
	{
		printf("FAILED: the test whether half-open counts leak came to no result\n");
		return FALSE;
	}
	side_stock.leaks_half_open = stock == 0;
	side_ours.leaks_half_open = ours == 0;
	for (i = 0; i < plant_count; i++)
	{
		plants[i].side.leaks_half_open = side_stock.leaks_half_open;
	}
	return TRUE;
}

/**
 * Compare ours for a number of seeds, or for some time.
 */
static void try_sequences(const arguments_t *arguments)
{
	static sequence_t sequence;
	time_t start = time(NULL), end = start + arguments->minutes * 60;
	int failed_before = failed;
	uint64_t i;

	for (i = 0; arguments->minutes ? time(NULL) < end : i < (uint64_t)arguments->seeds; i++)
	{
		verdict_t verdict;

		sequence_generate(&sequence, arguments->seed + i, arguments->operations);
		if (arguments->verbose)
		{
			char options[512];

			sequence_describe(&sequence, options, sizeof(options));
			fprintf(stderr, "%s\n", options);
		}
		verdict = compare_run(&sequence, &side_ours, TRUE);
		progress(start, "sequences", i + 1, arguments->minutes ? 0 : arguments->seeds, arguments->minutes);
		if (verdict == VERDICT_EQUAL)
		{
			passed++;
			continue;
		}
		failed++;
		printf("FAILED: ");
		compare_print(&sequence, &side_ours, 12);
		if (verdict == VERDICT_DIFFERENT)
		{
			compare_shrink(&sequence, &side_ours);
		}
		printf("again: differential --seed %" PRIu64 " --ops %d\n", sequence.seed, sequence.count);
		if (failed - failed_before == FAILURES_MAX)
		{
			printf("no more sequences after %d failures\n", FAILURES_MAX);
			break;
		}
	}
	printf("%" PRIu64 " sequences of %d operations from seed %" PRIu64 " on: %d failed\n", i, arguments->operations,
		   arguments->seed, failed - failed_before);
}

/**
 * Look for a planted bug.
 *
 * @param seeds		how many to try
 * @param show		print what shows the bug
 */
static void try_plant(plant_t *plant, uint64_t seed, int seeds, int operations, bool show)
{
	static sequence_t sequence;
	int i;

	for (i = 0; i < seeds; i++)
	{
		verdict_t verdict;

		sequence_generate(&sequence, seed + i, operations);
		verdict = compare_run(&sequence, &plant->side, FALSE);
		if (verdict == VERDICT_HARNESS)
		{
			printf("FAILED: ");
			compare_print(&sequence, &plant->side, 12);
			break;
		}
		if (verdict == VERDICT_DIFFERENT)
		{
			passed++;
			printf("  caught by seed %" PRIu64 " (%d of at most %d): %s: %s\n", sequence.seed, i + 1, seeds,
				   plant->side.name, plant->bug);
			if (show)
			{
				compare_print(&sequence, &plant->side, 12);
				compare_shrink(&sequence, &plant->side);
			}
			return;
		}
	}
	failed++;
	printf("FAILED: the planted bug %s (%s) was not caught by %d seeds from %" PRIu64 " on\n", plant->side.name,
		   plant->bug, seeds, seed);
}

static void try_plants(const arguments_t *arguments)
{
	time_t start = time(NULL);
	int i;

	printf("planted bugs:\n");
	for (i = 0; i < plant_count; i++)
	{
		try_plant(&plants[i], 1, plants[i].seeds, OPERATIONS_DEFAULT, arguments->verbose);
		progress(start, "plants", i + 1, plant_count, FALSE);
	}
}

/**
 * All calls have to be served by ours, none by charon's manager behind it.
 */
static void report_delegation(void)
{
	printf("calls that ours left to charon's own manager: %" PRIu64 ", in %" PRIu64 " sequences\n",
		   coverage->delegated_calls, coverage->delegation_checks);
	if (!coverage->delegation_checks || coverage->delegated_calls)
	{
		failed++;
		printf("FAILED: %s\n", coverage->delegation_checks ? "ours has to serve every call itself"
														   : "no sequence came to its end, so nobody looked");
	}
	else
	{
		passed++;
	}
}

static void report_coverage(const arguments_t *arguments)
{
	bool required = arguments->fork && (arguments->minutes || arguments->seeds >= SEEDS_FOR_COVERAGE) &&
					arguments->operations >= OPERATIONS_FOR_COVERAGE;
	int missing = coverage_report(required);

	if (!required)
	{
		return;
	}
	if (missing)
	{
		failed++;
		printf("FAILED: %d methods or outcomes never came up, so nothing is known about them\n", missing);
	}
	else
	{
		passed++;
	}
}

int main(int argc, char *argv[])
{
	arguments_t arguments;
	bool everything;

	parse(argc, argv, &arguments);
	everything = !arguments.seed_given && !arguments.plant && arguments.fork;
	if (!compare_init(arguments.fork) || !environment_init())
	{
		return 1;
	}
	if (!find_out_leaks())
	{
		failed++;
	}
	else if (arguments.plant)
	{
		environment_log(arguments.verbose);
		try_plant(arguments.plant, arguments.seed, arguments.seed_given ? (int)arguments.seeds : arguments.plant->seeds,
				  arguments.operations, TRUE);
	}
	else
	{
		if (everything)
		{
			try_allowed();
		}
		environment_log(arguments.verbose);
		try_sequences(&arguments);
		if (everything)
		{
			try_plants(&arguments);
		}
		report_delegation();
		report_coverage(&arguments);
	}
	environment_deinit();
	printf("%d passed, %d failed\n", passed, failed);
	return failed ? 1 : 0;
}
