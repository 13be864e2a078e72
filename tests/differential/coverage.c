/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "coverage.h"

#include <inttypes.h>
#include <stdio.h>

static coverage_t local;

coverage_t *coverage = &local;

const char *method_names[METHOD_COUNT] = {
	[METHOD_CREATE_NEW] = "create_new",
	[METHOD_CHECKOUT_NEW] = "checkout_new",
	[METHOD_CHECKOUT] = "checkout",
	[METHOD_TRACK_INIT] = "track_init",
	[METHOD_CHECKOUT_BY_MESSAGE] = "checkout_by_message",
	[METHOD_CHECKOUT_BY_CONFIG] = "checkout_by_config",
	[METHOD_NEW_INITIATOR_SPI] = "new_initiator_spi",
	[METHOD_CHECK_UNIQUENESS] = "check_uniqueness",
	[METHOD_HAS_CONTACT] = "has_contact",
	[METHOD_CHECKOUT_BY_ID] = "checkout_by_id",
	[METHOD_CHECKOUT_BY_NAME] = "checkout_by_name",
	[METHOD_CREATE_ENUMERATOR] = "create_enumerator",
	[METHOD_CREATE_ID_ENUMERATOR] = "create_id_enumerator",
	[METHOD_CHECKIN] = "checkin",
	[METHOD_CHECKIN_AND_DESTROY] = "checkin_and_destroy",
	[METHOD_GET_COUNT] = "get_count",
	[METHOD_GET_HALF_OPEN_COUNT] = "get_half_open_count",
	[METHOD_SET_SPI_CB] = "set_spi_cb",
	[METHOD_FLUSH] = "flush",
	[METHOD_DESTROY] = "destroy",
};

static const char *outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_HIT] = "hit",
	[OUTCOME_MISS] = "miss",
	[OUTCOME_NEW] = "new",
	[OUTCOME_RETRANSMIT] = "retransmit",
	[OUTCOME_PROCESSING] = "processing",
	[OUTCOME_LIMIT] = "limit",
	[OUTCOME_NO_SPI] = "no SPI",
	[OUTCOME_ONE_OF_SEVERAL] = "one of several",
	[OUTCOME_WAITED] = "waited",
	[OUTCOME_DRIVEN_OUT] = "driven out",
	[OUTCOME_FLUSHED] = "flushed",
	[OUTCOME_TRUE] = "true",
	[OUTCOME_FALSE] = "false",
	[OUTCOME_UNREGISTERED] = "unregistered",
	[OUTCOME_WITH_WAITERS] = "with waiters",
	[OUTCOME_BROKEN_OFF] = "broken off",
	[OUTCOME_DONE] = "done",
};

#define O(x) (1u << OUTCOME_##x)

/** What a full run has to show. */
static const uint32_t required_outcomes[METHOD_COUNT] = {
	[METHOD_CREATE_NEW] = O(NEW) | O(NO_SPI) | O(FLUSHED),
	[METHOD_CHECKOUT_NEW] = O(DONE),
	[METHOD_CHECKOUT] = O(HIT) | O(MISS) | O(WAITED) | O(DRIVEN_OUT) | O(FLUSHED),
	[METHOD_TRACK_INIT] = O(DONE),
	[METHOD_CHECKOUT_BY_MESSAGE] = O(NEW) | O(HIT) | O(MISS) | O(RETRANSMIT) | O(PROCESSING) | O(LIMIT) | O(NO_SPI) |
								   O(WAITED) | O(DRIVEN_OUT) | O(FLUSHED),
	[METHOD_CHECKOUT_BY_CONFIG] = O(NEW) | O(HIT) | O(ONE_OF_SEVERAL) | O(NO_SPI) | O(WAITED) | O(DRIVEN_OUT),
	[METHOD_NEW_INITIATOR_SPI] = O(TRUE) | O(FALSE) | O(NO_SPI) | O(UNREGISTERED) | O(WITH_WAITERS),
	[METHOD_CHECK_UNIQUENESS] = O(TRUE) | O(FALSE) | O(UNREGISTERED) | O(WAITED),
	[METHOD_HAS_CONTACT] = O(TRUE) | O(FALSE),
	[METHOD_CHECKOUT_BY_ID] = O(HIT) | O(MISS) | O(WAITED) | O(DRIVEN_OUT) | O(FLUSHED),
	[METHOD_CHECKOUT_BY_NAME] = O(HIT) | O(MISS) | O(ONE_OF_SEVERAL) | O(WAITED) | O(DRIVEN_OUT),
	[METHOD_CREATE_ENUMERATOR] = O(HIT) | O(MISS) | O(BROKEN_OFF) | O(WAITED) | O(DRIVEN_OUT),
	[METHOD_CREATE_ID_ENUMERATOR] = O(HIT) | O(MISS) | O(BROKEN_OFF),
	[METHOD_CHECKIN] = O(DONE) | O(UNREGISTERED) | O(WITH_WAITERS) | O(WAITED) | O(FLUSHED),
	[METHOD_CHECKIN_AND_DESTROY] = O(DONE) | O(UNREGISTERED) | O(WITH_WAITERS) | O(FLUSHED),
	[METHOD_GET_COUNT] = O(TRUE) | O(FALSE),
	[METHOD_GET_HALF_OPEN_COUNT] = O(TRUE) | O(FALSE),
	[METHOD_SET_SPI_CB] = O(DONE),
	[METHOD_FLUSH] = O(DONE) | O(WAITED),
	[METHOD_DESTROY] = O(DONE) | O(FLUSHED),
};

/* described in header */
int coverage_report(bool required)
{
	int method, outcome, missing = 0;

	printf("calls of each method on both managers, and what they came to:\n");
	for (method = 0; method < METHOD_COUNT; method++)
	{
		const char *separator = " ";

		printf("  %-21s %9" PRIu64, method_names[method], coverage->calls[method]);
		for (outcome = 0; outcome < OUTCOME_COUNT; outcome++)
		{
			bool wanted = required_outcomes[method] & (1u << outcome);
			uint64_t seen = coverage->outcomes[method][outcome];

			if (seen)
			{
				printf("%s%s %" PRIu64, separator, outcome_names[outcome], seen);
				separator = ", ";
			}
			else if (wanted && required)
			{
				printf("%s%s NEVER", separator, outcome_names[outcome]);
				separator = ", ";
				missing++;
			}
		}
		printf("\n");
		if (required && !coverage->calls[method])
		{
			missing++;
		}
	}
	return missing;
}
