/* SPDX-License-Identifier: GPL-2.0-or-later */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "compare.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

typedef struct shared_t shared_t;

/** Seconds for one comparison: more than actors_settle() gives a single call. */
#define DEADLINE 120

/** Seconds to spend on leaving out operations. */
#define SHRINK_SECONDS 60

/**
 * What a child leaves behind.
 */
struct shared_t {
	coverage_t coverage;
	/** traces of both managers */
	trace_t traces[2];
	/** manager that is running */
	int side;
	/** the child came to its end */
	bool complete;
};

static shared_t *shared;

static bool forking;

/** How the last child ended, if not by itself. */
static char ended[64];

/** Not counted. */
static coverage_t other_coverage;

/* described in header */
bool compare_init(bool fork)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
	{
		perror("differential: no memory for traces");
		return FALSE;
	}
	forking = fork;
	coverage = &shared->coverage;
	return TRUE;
}

/**
 * A run can not go on.
 */
static void give_up(void)
{
	if (!forking)
	{
		trace_print_difference(&shared->traces[0], "charon's", &shared->traces[1], "the other", 20);
		fflush(stdout);
	}
	_exit(1);
}

static void run_both(const sequence_t *sequence, const side_t *other)
{
	shared->side = 0;
	run_sequence(sequence, &side_stock, &shared->traces[0], NULL, give_up);
	if (strstr(shared->traces[0].text, "!!"))
	{
		give_up();
	}
	shared->side = 1;
	run_sequence(sequence, other, &shared->traces[1], &shared->traces[0], give_up);
	shared->complete = TRUE;
}

/* described in header */
verdict_t compare_run(const sequence_t *sequence, const side_t *other, bool counted)
{
	int status;
	pid_t pid;

	trace_clear(&shared->traces[0]);
	trace_clear(&shared->traces[1]);
	shared->complete = FALSE;
	ended[0] = '\0';
	coverage = counted ? &shared->coverage : &other_coverage;
	if (!forking)
	{
		run_both(sequence, other);
	}
	else
	{
		fflush(stdout);
		pid = fork();
		if (pid < 0)
		{
			perror("differential: fork");
			_exit(2);
		}
		if (!pid)
		{
			alarm(DEADLINE);
			run_both(sequence, other);
			_exit(0);
		}
		while (waitpid(pid, &status, 0) != pid)
		{
			continue;
		}
		if (WIFSIGNALED(status))
		{
			snprintf(ended, sizeof(ended), "%s", strsignal(WTERMSIG(status)));
		}
	}
	coverage = &shared->coverage;
	if (!shared->side || shared->traces[0].overflow || shared->traces[1].overflow)
	{
		return VERDICT_HARNESS;
	}
	return shared->complete && !ended[0] ? VERDICT_EQUAL : VERDICT_DIFFERENT;
}

/* described in header */
void compare_print(const sequence_t *sequence, const side_t *other, int lines)
{
	char options[512];
	size_t start;
	int count = 0;

	sequence_describe(sequence, options, sizeof(options));
	printf("%s\n", options);
	if (shared->traces[0].overflow || shared->traces[1].overflow)
	{
		printf("the trace is longer than %d bytes; give fewer --ops\n", TRACE_SIZE);
		return;
	}
	if (!shared->side)
	{
		trace_t *trace = &shared->traces[0];

		for (start = trace->len; start && count <= lines; start--)
		{
			count += trace->text[start - 1] == '\n';
		}
		printf("%s%s manager did not do what the harness thought it would%s%s:\n%s", start ? "(…)\n" : "",
			   side_stock.name, ended[0] ? ", and ended by " : "", ended, trace->text + start + (start ? 1 : 0));
		return;
	}
	trace_print_difference(&shared->traces[0], side_stock.name, &shared->traces[1], other->name, lines);
	if (ended[0])
	{
		printf("the process ended by: %s\n", ended);
	}
}

/* described in header */
void compare_shrink(const sequence_t *sequence, const side_t *other)
{
	static sequence_t shrunk, attempt;
	time_t start = time(NULL), told = start;
	int chunk, from;

	if (!forking)
	{
		return;
	}
	shrunk = *sequence;
	for (chunk = shrunk.count / 2; chunk >= 1; chunk = chunk > 1 ? chunk / 2 : 0)
	{
		for (from = 0; from < shrunk.count && time(NULL) - start < SHRINK_SECONDS;)
		{
			int end = from + chunk < shrunk.count ? from + chunk : shrunk.count;

			attempt = shrunk;
			attempt.count -= end - from;
			memmove(&attempt.operations[from], &attempt.operations[end],
					(size_t)(shrunk.count - end) * sizeof(attempt.operations[0]));
			if (compare_run(&attempt, other, FALSE) == VERDICT_DIFFERENT)
			{
				shrunk = attempt;
			}
			else
			{
				from = end;
			}
			if (time(NULL) - told >= 2)
			{
				told = time(NULL);
				printf("  … leaving out operations: %d left\n", shrunk.count);
				fflush(stdout);
			}
		}
	}
	if (compare_run(&shrunk, other, FALSE) == VERDICT_DIFFERENT)
	{
		printf("with only %d of the operations:\n", shrunk.count);
		compare_print(&shrunk, other, 60);
	}
}
