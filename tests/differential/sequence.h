/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup sequence sequence
 * @{ @ingroup differential
 *
 * What a seed stands for: options of the daemon, and a list of operations. An operation names no SA: it says what kind
 * of thing to do and holds numbers to choose by among what is there when it runs. So a sequence runs against any
 * manager, and goes on making sense when operations are left out of it to find the few that matter.
 */

#ifndef DIFFERENTIAL_SEQUENCE_H_
#define DIFFERENTIAL_SEQUENCE_H_

#include <stdbool.h>
#include <stdint.h>

typedef enum kind_t kind_t;
typedef struct options_t options_t;
typedef struct operation_t operation_t;
typedef struct sequence_t sequence_t;

/** Operations in one sequence. */
#define OPERATIONS_MIN 1
#define OPERATIONS_MAX 2000
#define OPERATIONS_DEFAULT 120

/** Numbers to choose by that each operation has. */
#define CHOICES 5

/**
 * Kinds of operations, see operations.c.
 */
enum kind_t {
	/** make an SA and give it identities, addresses, a config */
	KIND_CREATE,
	/** the whole way of an SA until it is established, or further */
	KIND_ESTABLISH,
	/** checkout_new() for one of those */
	KIND_REGISTER,
	/** check an SA in that this actor has */
	KIND_CHECKIN,
	/** checkin_and_destroy() one */
	KIND_DESTROY,
	/** change one: its state, its identities, what it learned from the peer */
	KIND_CHANGE,
	/** checkout() by an ID: right, old, incomplete or wrong */
	KIND_CHECKOUT,
	/** checkout_by_message() */
	KIND_MESSAGE,
	/** a whole process_message_job */
	KIND_PACKET,
	KIND_BY_CONFIG,
	KIND_BY_ID,
	KIND_BY_NAME,
	/** walk all SAs, with waiting or without, or some of them */
	KIND_ENUMERATE,
	KIND_UNIQUENESS,
	/** make another SA between two peers, and check it for uniqueness or announce an INITIAL_CONTACT */
	KIND_RIVAL,
	KIND_NEW_SPI,
	/** counts, contacts, the IDs of SAs between identities */
	KIND_AUDIT,
	/** change where SPIs come from */
	KIND_SPI_SOURCE,
	/** a whole delete_ike_sa_job, as a timeout runs it */
	KIND_DELETE_JOB,
	/** want an SA that another actor has, by any way there is */
	KIND_WAIT,
	/** scenes: walk and wait, stand on an SA with an enumerator while others want it */
	KIND_STAND,
	/** let a real initiator send its first message */
	KIND_INITIATE,
	/** keep an ID for later, as jobs do */
	KIND_REMEMBER,
	/** check in everything */
	KIND_CALM,
	KIND_COUNT,
};

/**
 * Options of the daemon, and of the run.
 */
struct options_t {
	/** threads that take part */
	int actors;
	/** charon.ikesa_table_size, charon.ikesa_table_segments: they must not matter */
	int table_size;
	int table_segments;
	/** charon.reuse_ikesa */
	bool reuse_ikesa;
	/** charon.ikesa_limit */
	int ikesa_limit;
	/** charon.half_open_timeout */
	int half_open_timeout;
	/** charon.spi_mask and charon.spi_label, 0 for none */
	uint64_t spi_mask;
	uint64_t spi_label;
	/** SPIs come from set_spi_cb() at first, else from the manager's own generator */
	bool spi_callback;
	/** uniqueness policies of the connections */
	uint32_t policies;
	/** few identities, addresses and connections, so that there are duplicates; else all there are */
	bool few;
	/** how flush() meets the SAs at the end */
	uint32_t ending;
};

struct operation_t {
	uint8_t kind;
	uint8_t actor;
	uint32_t choice[CHOICES];
};

struct sequence_t {
	uint64_t seed;
	options_t options;
	int count;
	operation_t operations[OPERATIONS_MAX];
};

/**
 * Make what a seed stands for.
 *
 * @param count		number of operations
 */
void sequence_generate(sequence_t *this, uint64_t seed, int count);

/**
 * Describe the options in one line.
 */
void sequence_describe(const sequence_t *this, char *buf, int len);

#endif /** DIFFERENTIAL_SEQUENCE_H_ @}*/
