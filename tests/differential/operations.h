/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup operations operations
 * @{ @ingroup differential
 *
 * What the files with operations use of each other.
 *
 * A function start_…() lets an actor make a call, waits until it has returned or is parked, and traces that. Where it
 * returns a bool, FALSE means that the actor must not make that call now, and that nothing happened. The choices are
 * the numbers of the operation to choose by.
 */

#ifndef DIFFERENTIAL_OPERATIONS_H_
#define DIFFERENTIAL_OPERATIONS_H_

#include "run.h"

/*
 * choosing.c: what an operation can be done with. The filters are for sa_choose() and sa_collect(); the argument of
 * those about holding is the actor (int*), of those about names, configs and keys what to compare with.
 */

bool is_registered(sa_t *sa, void *arg);
bool is_held_by(sa_t *sa, void *arg);
bool is_held_registered_by(sa_t *sa, void *arg);
bool is_unregistered_of(sa_t *sa, void *arg);
bool is_held_by_other(sa_t *sa, void *arg);
bool is_not_held(sa_t *sa, void *arg);
bool is_indexed(sa_t *sa, void *arg);
bool is_indexed_held_by_other(sa_t *sa, void *arg);
bool is_ikev1_responder(sa_t *sa, void *arg);
bool can_change_spi(sa_t *sa, void *arg);
bool has_ike_name(sa_t *sa, void *arg);
bool has_child_name(sa_t *sa, void *arg);
bool fits_config(sa_t *sa, void *arg);
bool has_same_key(sa_t *sa, void *arg);

/**
 * Choose one of some things; mostly the first if there are to be duplicates.
 */
uint32_t choose(uint32_t choice, uint32_t count);

/**
 * Choose a config of an SA's version.
 */
peer_cfg_t *choose_cfg(ike_sa_t *ike_sa, uint32_t choice);

/*
 * lifetimes.c: making, registering, checking in, destroying SAs
 */

/**
 * Add a full description of an SA, which nobody else may have, to the result of a call.
 */
void describe(manager_call_t *call, sa_t *sa);

/**
 * Add a complaint to the result if the SPI that the manager chose for an SA does not carry the label.
 */
void check_label(manager_call_t *call, ike_sa_t *ike_sa);

/**
 * For a call that was to create an SA.
 */
void finish_create(manager_call_t *this, int actor);

void start_create(int actor, const uint32_t choice[CHOICES]);

/**
 * Does nothing if the SA must not be registered now.
 */
void start_register(int actor, sa_t *sa);

/**
 * Add the duplicates that a check for uniqueness will look at to what a call wants.
 *
 * @return			FALSE if the actor must not do that now
 */
bool want_duplicates(int actor, sa_t *sa, manager_call_t *call);

bool start_checkin(int actor, sa_t *sa);
void start_destroy(int actor, sa_t *sa);

/*
 * changes.c: changing an SA that one has, and where SPIs come from
 */

/**
 * For a call after which nothing is to be noted.
 */
void finish_nothing(manager_call_t *this, int actor);

/**
 * Change something about an SA.
 */
void start_change(int actor, sa_t *sa, const uint32_t choice[CHOICES]);

/**
 * Bring an SA to a state by the shortest way.
 */
void start_move(int actor, sa_t *sa, const uint32_t choice[CHOICES], ike_sa_state_t state, bool initial_contact);

/**
 * Make an SA, check that it is the only one, establish it and check it in.
 */
void start_establish(int actor, const uint32_t choice[CHOICES]);

/**
 * Make another SA between the peers of one that is established, mostly from the same address.
 *
 * @return			the new SA, NULL if there is no SPI for it
 */
sa_t *start_twin(int actor, sa_t *of, const uint32_t choice[CHOICES]);

/**
 * Let a real initiator send its first message, if the SA is one.
 */
void start_initiate(int actor, sa_t *sa);

void start_new_spi(int actor, sa_t *sa, const uint32_t choice[CHOICES]);
void start_spi_source(int actor, uint32_t choice);

/*
 * checkouts.c: getting an SA, by all ways but a message; walking over all of them
 */

/**
 * For a call that was to get an SA.
 */
void finish_got(manager_call_t *this, int actor);

/**
 * A checkout() by the ID of a call.
 */
void execute_checkout(manager_call_t *this);

/**
 * Fill in what a call has to wait for.
 *
 * @param target	SA that it wants, NULL if none
 * @return			FALSE if the actor must not make it now
 */
bool want(int actor, manager_call_t *call, sa_t *target, waits_t waits);

/**
 * Choose an ID to check out: mostly of an SA there is, or changed from that.
 *
 * @return			FALSE if there is none
 */
bool choose_id(const uint32_t choice[CHOICES], id_key_t *key);

bool start_checkout(int actor, const id_key_t *key);

/**
 * @param target	SA to look for, NULL for one that does not exist
 * @param unique_id	unique ID to use then
 */
bool start_by_id(int actor, sa_t *target, uint32_t unique_id);

bool start_by_name(int actor, char *name, bool child);
bool start_by_config(int actor, uint32_t choice);

/**
 * @param steps		SAs after which to break off, 0 for none
 */
bool start_enumerate(int actor, bool wait, uint32_t steps);

/**
 * @param established	delete it in any case, not only if it is half-open
 */
bool start_delete_job(int actor, const id_key_t *key, bool established);

/**
 * Want an SA that somebody has, in one of the ways there are.
 */
bool start_wait(int actor, sa_t *sa, const uint32_t choice[CHOICES]);

/*
 * messages.c: packets, and checking out by them
 */

/**
 * Check out by some message.
 */
void operate_message(int actor, const uint32_t choice[CHOICES]);

/**
 * Let a job process some initial message.
 */
void operate_packet(int actor, const uint32_t choice[CHOICES]);

/**
 * Check out by a request to an SA.
 *
 * @param same		the same message that the SA is busy with, if there is one
 */
bool start_request(int actor, sa_t *sa, const uint32_t choice[CHOICES], bool same);

/*
 * contacts.c: SAs between the same peers
 */

bool start_uniqueness(int actor, sa_t *sa, bool force);

/**
 * Make an SA that has a duplicate, if possible one that somebody has, and do what finds that.
 */
void start_rival(int actor, const uint32_t choice[CHOICES]);

/**
 * Ask for all contacts.
 *
 * @param break_off	do not walk the enumerators to their ends
 */
void start_audit(int actor, bool break_off);

/*
 * scenes.c: several operations in an order that shows something
 */

/**
 * Check an SA out although the model may have reasons not to.
 */
void checkout_anyway(int actor, sa_t *sa, waits_t waits);

/**
 * One walks over all SAs and has to wait for one that somebody has, who checks it in, perhaps changed, or destroys it.
 */
void walk_and_wait(const uint32_t choice[CHOICES]);

/**
 * One stands on an SA, another one wants it; the first may check the same SA out again meanwhile.
 */
void stand_and_want(const uint32_t choice[CHOICES]);

/**
 * One stands on an SA and waits for another; whoever has that wants the first. The first has to give way.
 *
 * charon's manager can do that only if both are in the same segment.
 */
void stand_and_wait(const uint32_t choice[CHOICES]);

/**
 * One stands on an SA and waits for a new one; that is being checked for uniqueness, and the first is a duplicate.
 */
void stand_on_duplicate(const uint32_t choice[CHOICES]);

#endif /** DIFFERENTIAL_OPERATIONS_H_ @}*/
