/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup run run
 * @{ @ingroup differential
 *
 * One sequence running against one manager: what the director knows of the SAs there, the calls under way, and the
 * trace.
 *
 * The director keeps a model of who holds which SA and under which ID it is registered. By that it chooses operations
 * that make sense, knows which of them has to wait for whom, and keeps away from what the contract leaves open (see
 * allowed.h). It never says what a call should return: that is what the comparison is for.
 */

#ifndef DIFFERENTIAL_RUN_H_
#define DIFFERENTIAL_RUN_H_

#include <pthread.h>

#include <sa/ike_sa_manager.h>

#include "actors.h"
#include "coverage.h"
#include "environment.h"
#include "managers.h"
#include "sequence.h"
#include "trace.h"

/** SAs that one run can have seen; more end it early, on both sides. */
#define MAX_SAS 768

/** Initial messages that are kept to be sent again. */
#define MAX_PACKETS 24

/** IDs that are kept to be used later. */
#define MAX_IDS 64

/** Our SPIs and the peers' that one run can name. */
#define MAX_SPIS 2048

typedef enum waits_t waits_t;
typedef enum spi_source_t spi_source_t;
typedef struct id_key_t id_key_t;
typedef struct sa_t sa_t;
typedef struct sent_t sent_t;
typedef struct manager_call_t manager_call_t;
typedef struct run_t run_t;

/**
 * Which others may wait for the same SA at the same time, so that the outcome does not depend on who gets it first.
 */
enum waits_t {
	/** does not wait */
	WAITS_NOT,
	/** just wants it: others may, too, because whoever gets it only checks it in again */
	WAITS_PLAIN,
	/** by config: another one by the same config may queue up behind it */
	WAITS_CONFIG,
	/** changes something once it has it */
	WAITS_ALONE,
};

/**
 * Where SPIs come from.
 */
enum spi_source_t {
	/** set_spi_cb() with different numbers */
	SPIS_CALLBACK,
	/** set_spi_cb() with the last number over and over */
	SPIS_REPEATED,
	/** set_spi_cb() with a callback that fails */
	SPIS_NONE,
	/** the manager's generator */
	SPIS_MANAGER,
};

/**
 * The values of an ike_sa_id_t.
 */
struct id_key_t {
	uint8_t version;
	bool initiator;
	uint64_t spi_i;
	uint64_t spi_r;
};

/**
 * What the director knows of an IKE_SA.
 */
struct sa_t {
	/** name in the trace: counts up */
	int label;
	ike_sa_t *ike_sa;
	uint32_t unique_id;
	bool alive;
	/** operation during which it went, and whether its ID was kept for later then */
	int gone;
	bool remembered;
	/** the manager knows it */
	bool registered;
	/** the manager has learned of it in this order */
	int order;
	/** actor that has checked it out or made it, -1 for none */
	int holder;
	/** ID that the manager knows it by */
	id_key_t key;
	/** message ID or hash that keeps the same message out, -1 for none */
	uint32_t processing;
	/** what tells a retransmit of its initial message */
	chunk_t init;
	/** the manager knows it as an SA between these two, from when it was established */
	bool indexed;
	identification_t *my_id;
	identification_t *other_id;
	int family;
	/** got an address of another family since the last checkin */
	bool family_changed;
};

/**
 * An initial message that was sent.
 */
struct sent_t {
	chunk_t data;
	int peer;
};

/**
 * A call under way.
 */
struct manager_call_t {
	call_t call;
	/** in the actor's thread */
	void (*execute)(manager_call_t *this);
	/** in the director's, once it has returned: note what it did, and add that to the text */
	void (*finish)(manager_call_t *this, int actor);
	/** how the trace calls it, then what came of it */
	char text[256];
	char result[6144];

	/* what to call with */
	method_t method;
	sa_t *sa;
	ike_sa_id_t *id;
	message_t *message;
	job_t *job;
	peer_cfg_t *cfg;
	char *name;
	uint32_t number;
	bool flag;
	uint32_t choice[CHOICES];

	/* what it waits for */
	waits_t waits;
	/** SAs that it will want if somebody has them */
	sa_t *wants[MAX_SAS];
	int want_count;
	/** walks over all SAs, in an order that only charon's manager knows */
	bool walks;
	/** several wait for the same SA: check it in at once */
	bool contended;
	/** had to wait */
	bool parked;

	/* what came of it */
	/** calls that the trace will tell of later */
	bool silent;
	ike_sa_t *got;
	bool yes;
	/** SAs that were enumerated */
	sa_t *seen[MAX_SAS];
	int seen_count;
	/** the SA before it was given up */
	id_key_t key;
	bool becomes_indexed;
	bool connecting;
	/** the new SA's initial message, or the ID of the message */
	chunk_t init;
	uint32_t processing;
	/** has no parts that processing could start with */
	bool fragment;
	/** what the manager is expected to answer, to count outcomes by */
	outcome_t expected;
	/** some SAs that all fit */
	sa_t *several[MAX_SAS];
	int several_count;
	/** SA on the bus afterwards, NULL if none */
	ike_sa_t *bus;
	/** events on the bus while it ran */
	char *events;
	size_t events_len;
	/** first forget the SA on the bus, which is gone */
	bool reset_bus;
};

struct run_t {
	const sequence_t *sequence;
	const side_t *side;
	ike_sa_manager_t *manager;
	trace_t *trace;
	const trace_t *expected;
	/** called when the trace differs from the expected one, or nothing moves any more; must not return */
	void (*give_up)(void);

	/** protects the SAs below: events come in the actors' threads */
	pthread_mutex_t mutex;
	sa_t sas[MAX_SAS];
	int sa_count;
	int orders;

	/** what each actor is doing */
	manager_call_t *calls[ACTORS];
	/** SA that each had on the bus last */
	sa_t *bus[ACTORS];
	/** number of the operation */
	int nr;

	peer_cfg_t *cfgs[PEER_CFGS];
	sent_t sent[MAX_PACKETS];
	int sent_count;
	id_key_t ids[MAX_IDS];
	int id_count;
	/** SPIs in the order in which they were first named */
	uint64_t spis[MAX_SPIS];
	int spi_count;
	/** half-open counts that a manager as 5.9.8 never lowers again */
	u_int leaked[PEER_HOSTS];
	u_int leaked_total;

	spi_source_t spi_source;
	/** operation after which it is a callback again */
	int spi_source_until;
	/** numbers that the callback gives out */
	uint64_t spi_state;
	uint64_t spi_last;

	/** calls that ours left to charon's manager */
	uint64_t delegated_calls;

	/** flush() is under way or done */
	bool flushing;
	/** scenes that end in an order of their own: keep lines of woken calls until then */
	bool hold_lines;
	/** lines of calls that returned, to be sorted */
	struct {
		int actor;
		char *text;
	} lines[64];
	int line_count;
	/** SA that the last message was for */
	sa_t *messaged;
	/** an enumerator that stands on an SA */
	enumerator_t *standing;
	sa_t *stands_on;
	int stander;
};

/** The run in this process. */
extern run_t *run;

/**
 * Run a sequence against a manager and leave the trace.
 *
 * @param expected	trace that the run should leave: at the first difference it gives up; NULL for none
 * @param give_up	called then, must not return
 */
void run_sequence(const sequence_t *sequence, const side_t *side, trace_t *trace, const trace_t *expected,
				  void (*give_up)(void));

/**
 * Make a manager for a side, with options, that charon uses; and unmake it.
 */
ike_sa_manager_t *run_create_manager(const side_t *side, const options_t *options);
void run_destroy_manager(const side_t *side, ike_sa_manager_t *manager);

/* calls.c */

manager_call_t *call_create(method_t method, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * Add what came of a call to its line in the trace.
 */
void call_result(manager_call_t *this, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * Let an actor make a call, wait until it returned or waits, and trace what happened.
 */
void run_call(int actor, manager_call_t *call);

/**
 * Compare with what is expected, and give up at the first difference.
 */
void check_trace(void);

/**
 * Write the lines that were held back.
 */
void run_write_lines(void);

/**
 * Write the counts that follow an operation.
 */
void run_write_counts(void);

/**
 * Add something wrong with the harness's own idea of the manager to the trace.
 */
#define run_wrong(fmt, ...) trace_line(run->trace, "!! " fmt, ##__VA_ARGS__)

/* model.c */

/**
 * Read the values of an ID, and make an ID of them.
 */
id_key_t key_of(ike_sa_id_t *id);
ike_sa_id_t *key_to_id(const id_key_t *key);

bool key_equals(const id_key_t *a, const id_key_t *b);

/**
 * How the trace writes an ID.
 */
const char *key_name(const id_key_t *key, char buf[64]);

/**
 * Find the SA of a pointer; unknown ones are new.
 *
 * @param is_new	receives whether it is new, may be NULL
 */
sa_t *sa_of(ike_sa_t *ike_sa, bool *is_new);

/**
 * Find the record of an SA, which may be gone; NULL if there is none. The mutex is held.
 */
sa_t *sa_find(ike_sa_t *ike_sa);

/**
 * As sa_of(), with the mutex held.
 */
sa_t *sa_of_locked(ike_sa_t *ike_sa, bool *is_new);

/**
 * How the trace writes an SA.
 */
const char *sa_name(sa_t *sa, char buf[16]);

/**
 * Find the SA that an ID stands for.
 *
 * @param depends	receives whether charon's answer depends on the size of its table
 */
sa_t *sa_match(const id_key_t *id, bool *depends);

/**
 * Choose among living SAs that a filter accepts.
 */
sa_t *sa_choose(uint32_t choice, bool (*filter)(sa_t *sa, void *arg), void *arg);

/**
 * Collect them.
 */
int sa_collect(sa_t *sas[MAX_SAS], bool (*filter)(sa_t *sa, void *arg), void *arg);

/**
 * What the manager notes of an SA when it is checked in established.
 */
void sa_index(sa_t *sa);

/**
 * The SAs that check_uniqueness() looks at, oldest first.
 */
int sa_duplicates(sa_t *of, sa_t *duplicates[MAX_SAS]);

/**
 * Note what changed with SAs that nobody has: charon's own code had them meanwhile, and may have destroyed them.
 */
void refresh_sas(void);

/**
 * Remember an ID for later.
 */
void run_remember(const id_key_t *key);

/**
 * May an actor begin to wait for an SA that another one has?
 */
bool may_wait(int actor, sa_t *sa, waits_t waits, peer_cfg_t *cfg);

/**
 * Does somebody wait who walks over all SAs? Then nothing may be checked out or registered that is not already: whether
 * the walk comes past it is not defined.
 */
bool walk_waits(void);

/**
 * Does a call want an SA?
 */
bool call_wants(manager_call_t *call, sa_t *sa);

/**
 * Those that wait by config go on to wait for what the first of them made.
 */
void renew_wants(manager_call_t *call);

/**
 * Must an SA not be registered now? Somebody is looking at duplicates one by one, by IDs of which the new SA's would be
 * another meaning.
 *
 * @param key		ID of the new SA, NULL if it is still to be made
 */
bool disturbs(const id_key_t *key);

/**
 * Does somebody wait for this SA?
 */
bool has_waiters(sa_t *sa);

/**
 * Does anybody have an SA of the manager's? At best except one.
 */
bool any_held(sa_t *except);

/** Is the actor free? */
bool is_free(int actor);

/* events.c */

/**
 * What notes events in the trace.
 */
listener_t *events_listener(void);

/* operations.c and ending.c */

/**
 * Run one operation. If there is nothing that it could do it does something more common, or nothing.
 */
void operation_run(const operation_t *operation);

/**
 * Check in whatever can be, until nobody holds or waits for anything.
 */
void operation_calm(void);

/**
 * Flush and destroy the manager, with SAs in use.
 */
void operation_end(void);

/** The callback of set_spi_cb(). */
uint64_t run_spi(void *data);

#endif /** DIFFERENTIAL_RUN_H_ @}*/
