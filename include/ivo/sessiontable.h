/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @file sessiontable.h
 * The core of ivo-sessiontable, as the shim sees it.
 */
#ifndef IVO_SESSIONTABLE_H_
#define IVO_SESSIONTABLE_H_

#include <ivo/abi.h>
#include <ivo/control.h>
#include <ivo/host.h>

IVO_BEGIN_DECLS

typedef struct ivo_sessiontable_t ivo_sessiontable_t;
typedef struct ivo_charon_t ivo_charon_t;
typedef struct ivo_walk_t ivo_walk_t;

/** An IP address. */
typedef struct ivo_address_t {
	/** 4 or 16; 0 for none */
	uint8_t length;
	uint8_t bytes[16];
} ivo_address_t;

/** What identifies an IKE_SA in messages and jobs. SPIs are kept in the byte order that charon has them in. */
typedef struct ivo_ike_id_t {
	uint64_t initiator_spi;
	uint64_t responder_spi;
	/** major version, 1 or 2 */
	uint8_t version;
	/** we are the original initiator; not significant for IKEv1 */
	bool initiator;
} ivo_ike_id_t;

/** An IKE_SA as it describes itself. */
typedef struct ivo_ike_sa_t {
	ivo_ike_id_t id;
	/** charon's unique ID of it, never that of another one */
	uint32_t unique_id;
	/** in state CONNECTING: counts as half-open */
	bool connecting;
	/** in state ESTABLISHED or PASSIVE: to be found by its identities */
	bool established;
	/** the peer's address */
	ivo_address_t other;
} ivo_ike_sa_t;

/** An identity, as bytes that are equal for equal identities. */
typedef struct ivo_identity_t {
	uint32_t type;
	const uint8_t *bytes;
	size_t length;
} ivo_identity_t;

/** Two identities between which IKE_SAs exist. */
typedef struct ivo_peers_t {
	ivo_identity_t me;
	ivo_identity_t other;
} ivo_peers_t;

/** A CHILD_SA as charon adds it. SPIs are kept in the byte order that charon has them in. */
typedef struct ivo_child_sa_t {
	/** charon's unique IDs of it and of its IKE_SA */
	uint32_t unique_id;
	uint32_t ike_unique_id;
	uint32_t spi_in;
	uint32_t spi_out;
	/** IP protocol, ESP or AH, as charon numbers them */
	uint8_t protocol;
	/** where inbound and outbound packets go */
	ivo_address_t local;
	ivo_address_t remote;
	uint16_t remote_port;
	/** the client's address inside the tunnel, if it is a single one */
	ivo_address_t inner;
	/** seconds of charon's monotonic clock */
	uint32_t now;
} ivo_child_sa_t;

/** What the table knows of one direction of a CHILD_SA: a copy, true at the moment of the look-up. */
typedef struct ivo_child_t {
	uint32_t unique_id;
	uint32_t ike_unique_id;
	uint32_t spi;
	uint8_t protocol;
	bool inbound;
	/** the client's address inside the tunnel, if it is a single one */
	ivo_address_t inner;
	/** the peer's end of the tunnel */
	ivo_address_t endpoint;
	uint16_t port;
	/** when an authenticated packet came last, or it was added; seconds of charon's monotonic clock */
	uint32_t heard;
} ivo_child_t;

/** What kind of exchange a message belongs to. */
typedef enum {
	IVO_EXCHANGE_IKE_SA_INIT,
	IVO_EXCHANGE_MAIN_MODE,
	IVO_EXCHANGE_AGGRESSIVE_MODE,
	IVO_EXCHANGE_OTHER,
} ivo_exchange_t;

/** A message for which the IKE_SA is wanted. */
typedef struct ivo_ike_message_t {
	/** IDs as in the header: the initiator flag is the sender's */
	ivo_ike_id_t id;
	ivo_exchange_t exchange;
	bool request;
	/** begins with an IKEv1 fragment */
	bool fragment_v1;
	/** begins with an IKEv2 fragment */
	bool fragment_v2;
	uint32_t message_id;
	/** what the message is recognised by while it is processed: the message ID, or a hash where those repeat */
	uint32_t processing;
	/** sender */
	ivo_address_t source;
	uint16_t source_port;
	/** the whole packet */
	const uint8_t *bytes;
	size_t length;
} ivo_ike_message_t;

/** What came of asking for an IKE_SA. */
typedef enum {
	/** an existing one was checked out */
	IVO_CHECKOUT_FOUND,
	/** a new one was made and checked out */
	IVO_CHECKOUT_CREATED,
	/** there is none */
	IVO_CHECKOUT_UNKNOWN,
	/** it is being destroyed */
	IVO_CHECKOUT_GOING,
	/** it processes this message already */
	IVO_CHECKOUT_PROCESSING,
	/** too many threads wait for it */
	IVO_CHECKOUT_BUSY,
	/** as many as ikesa_limit allows exist */
	IVO_CHECKOUT_LIMIT,
	/** no SPI can be had */
	IVO_CHECKOUT_NO_SPI,
	/** charon made no IKE_SA */
	IVO_CHECKOUT_NOT_CREATED,
	/** out of memory */
	IVO_CHECKOUT_NO_MEMORY,
} ivo_checkout_t;

/** What a message is to one who makes IKE_SAs. */
typedef enum {
	/** no initial message */
	IVO_INIT_NONE,
	/** an initial message that the table has not seen */
	IVO_INIT_NEW,
	/** the table has an IKE_SA that was made from it */
	IVO_INIT_KNOWN,
} ivo_init_t;

/** What happened to an IKE_SA that was to be destroyed. */
typedef enum {
	/** it was taken out of the table and destroyed */
	IVO_DESTROYED,
	/** flush() is about to destroy it: it was only given up */
	IVO_LEFT_TO_FLUSH,
	/** the table did not know it; it was not touched */
	IVO_NOT_REGISTERED,
} ivo_destroyed_t;

/**
 * What the table needs of charon. IKE_SAs are opaque to it. The functions are called by the thread that called the
 * table, and never while another one could have to wait for them but for the SA that they are given.
 */
struct ivo_charon_t {

	/** Describe an IKE_SA that the calling thread has, but for its peer's address. */
	void (*describe)(const ivo_charon_t *charon, void *ike_sa, ivo_ike_sa_t *description);

	/** Address of the peer of an IKE_SA that the calling thread has. */
	void (*other_address)(const ivo_charon_t *charon, void *ike_sa, ivo_address_t *address);

	/** Unique ID of an IKE_SA that the calling thread has. */
	uint32_t (*unique_id)(const ivo_charon_t *charon, void *ike_sa);

	/** New local SPI, 0 if none can be had. */
	uint64_t (*new_spi)(const ivo_charon_t *charon);

	/** Make an IKE_SA as responder, NULL on failure. */
	void *(*create)(const ivo_charon_t *charon, const ivo_ike_id_t *id);

	/** Destroy an IKE_SA that is in the table no more. */
	void (*destroy)(const ivo_charon_t *charon, void *ike_sa);

	/** One that is left at the end is about to be destroyed by destroy(). */
	void (*enter)(const ivo_charon_t *charon, void *ike_sa);

	/** flush() has this one: tell the peer that it is deleted; destroy() follows. */
	void (*close)(const ivo_charon_t *charon, void *ike_sa);
};

/** Settings of charon that the table obeys. */
typedef struct ivo_sessiontable_settings_t {
	/** most IKE_SAs, 0 for no limit */
	uint32_t ikesa_limit;
	/** worker threads: no more than half of them may wait for one IKE_SA because of messages */
	uint32_t threads;
} ivo_sessiontable_settings_t;

/** The methods of charon's IKE_SA manager but destroy(), in the order of its header (strongSwan 5.9.8 to 6.1.0). */
typedef enum {
	IVO_MANAGER_CREATE_NEW,
	IVO_MANAGER_CHECKOUT_NEW,
	IVO_MANAGER_CHECKOUT,
	IVO_MANAGER_TRACK_INIT,
	IVO_MANAGER_CHECKOUT_BY_MESSAGE,
	IVO_MANAGER_CHECKOUT_BY_CONFIG,
	IVO_MANAGER_NEW_INITIATOR_SPI,
	IVO_MANAGER_CHECK_UNIQUENESS,
	IVO_MANAGER_HAS_CONTACT,
	IVO_MANAGER_CHECKOUT_BY_ID,
	IVO_MANAGER_CHECKOUT_BY_NAME,
	IVO_MANAGER_CREATE_ENUMERATOR,
	IVO_MANAGER_CREATE_ID_ENUMERATOR,
	IVO_MANAGER_CHECKIN,
	IVO_MANAGER_CHECKIN_AND_DESTROY,
	IVO_MANAGER_GET_COUNT,
	IVO_MANAGER_GET_HALF_OPEN_COUNT,
	IVO_MANAGER_SET_SPI_CB,
	IVO_MANAGER_FLUSH,
	IVO_MANAGER_METHODS, /* how many there are */
} ivo_manager_method_t;

/**
 * Create the core; reads its options and reports bad ones to the host's log.
 *
 * @param host			must outlive the core
 * @return				NULL when out of memory (said in the log)
 */
ivo_sessiontable_t *ivo_sessiontable_create(const ivo_host_t *host);

/** Destroy the core. NULL is allowed. */
void ivo_sessiontable_destroy(ivo_sessiontable_t *table);

/** Read the options again, as `swanctl --reload-settings` asks for. */
void ivo_sessiontable_reload(ivo_sessiontable_t *table);

/**
 * Count a call of a manager's method that charon's own manager is about to serve: as delegated while the plugin is
 * switched on, as bypassed while it is off. Any thread; one atomic addition.
 */
void ivo_sessiontable_count_call(ivo_sessiontable_t *table, ivo_manager_method_t method);

/** Count a call of a manager's method that the table serves. Any thread; one atomic addition. */
void ivo_sessiontable_count_served(ivo_sessiontable_t *table, ivo_manager_method_t method);

/** Calls that the table has served so far, all methods together. */
uint64_t ivo_sessiontable_served_calls(const ivo_sessiontable_t *table);

/** Calls delegated to charon's manager so far, all methods together. */
uint64_t ivo_sessiontable_delegated_calls(const ivo_sessiontable_t *table);

/** Calls passed on while the plugin was switched off. */
uint64_t ivo_sessiontable_bypassed_calls(const ivo_sessiontable_t *table);

/**
 * Answer "stats" with one JSON object.
 *
 * @param ike_sas		IKE_SAs that the manager holds
 * @param half_open		those of them that are half-open
 */
void ivo_sessiontable_stats(const ivo_sessiontable_t *table, uint32_t ike_sas, uint32_t half_open,
							ivo_reply_t *reply);

/*
 * The table of IKE_SAs. Any thread may call any of these.
 */

/**
 * Say whose IKE_SAs the table holds, before anything that follows. The table is empty then.
 *
 * @param charon		must stay until the table is destroyed, or another one attached
 */
void ivo_sessiontable_attach(ivo_sessiontable_t *table, const ivo_charon_t *charon,
							 const ivo_sessiontable_settings_t *settings);

/** Is the plugin switched on? */
bool ivo_sessiontable_enabled(const ivo_sessiontable_t *table);

/**
 * Check out the IKE_SA of an ID; waits for whoever has it.
 *
 * @param how			receives what came of it
 * @return				IKE_SA or NULL
 */
void *ivo_sessiontable_checkout(ivo_sessiontable_t *table, const ivo_ike_id_t *id, ivo_checkout_t *how);

/** Check out by unique ID; waits for whoever has it. */
void *ivo_sessiontable_checkout_by_id(ivo_sessiontable_t *table, uint32_t unique_id);

/** Check out, or create, the IKE_SA for a message; waits for whoever has it, unless too many wait already. */
void *ivo_sessiontable_checkout_by_message(ivo_sessiontable_t *table, const ivo_ike_message_t *message,
										   ivo_checkout_t *how);

/** Is a message one that an IKE_SA is made from, or was made from already? */
ivo_init_t ivo_sessiontable_init_of(ivo_sessiontable_t *table, const ivo_ike_message_t *message);

/**
 * Register an IKE_SA and check it out. There is no check whether it is registered already.
 *
 * @return				false when out of memory: it is not registered
 */
bool ivo_sessiontable_checkout_new(ivo_sessiontable_t *table, void *ike_sa);

/** Is this IKE_SA registered? */
bool ivo_sessiontable_has(ivo_sessiontable_t *table, void *ike_sa);

/**
 * Note what changed of a checked out IKE_SA, or register an unknown one. ivo_sessiontable_release() must follow.
 *
 * @param wants_peers	receives whether ivo_sessiontable_set_peers() is to be called in between
 * @return				false when out of memory: an unknown one, not registered
 */
bool ivo_sessiontable_update(ivo_sessiontable_t *table, void *ike_sa, bool *wants_peers);

/** Make a checked out IKE_SA known by its identities. */
void ivo_sessiontable_set_peers(ivo_sessiontable_t *table, void *ike_sa, const ivo_peers_t *peers);

/** Let the next thread have it. */
void ivo_sessiontable_release(ivo_sessiontable_t *table, void *ike_sa);

/** Drive out who waits for a checked out IKE_SA, take it out of the table and destroy it. */
ivo_destroyed_t ivo_sessiontable_destroy_sa(ivo_sessiontable_t *table, void *ike_sa);

/**
 * A checked out IKE_SA is to have another initiator SPI.
 *
 * @param spi			SPI that the caller is going to set
 * @return				IVO_CHECKOUT_FOUND if the table finds it by both now; IVO_CHECKOUT_GOING, UNKNOWN or NO_MEMORY
 */
ivo_checkout_t ivo_sessiontable_change_spi(ivo_sessiontable_t *table, void *ike_sa, uint64_t spi);

/** Is there an established IKE_SA between two identities? Family 4 or 6, 0 for any. */
bool ivo_sessiontable_has_contact(ivo_sessiontable_t *table, const ivo_peers_t *peers, uint8_t family);

/**
 * IDs of the established IKE_SAs between two identities, in the order in which they were established.
 *
 * @param ids			receives an array to be given to free(), NULL if there are none
 * @return				how many
 */
size_t ivo_sessiontable_ids(ivo_sessiontable_t *table, const ivo_peers_t *peers, uint8_t family, ivo_ike_id_t **ids);

uint32_t ivo_sessiontable_count(const ivo_sessiontable_t *table);

/** Count an initial message as half-open, until checkout_by_message() got it. */
void ivo_sessiontable_track_init(ivo_sessiontable_t *table, const ivo_address_t *source);

/** Undo ivo_sessiontable_track_init(). */
void ivo_sessiontable_untrack_init(ivo_sessiontable_t *table, const ivo_address_t *source);

/** Half-open IKE_SAs, with one peer's address or, if that is NULL, all. */
uint32_t ivo_sessiontable_half_open(const ivo_sessiontable_t *table, const ivo_address_t *other, bool responder_only);

/**
 * Walk over all IKE_SAs. The walk has the one that it stands on checked out; its thread may check that one out again,
 * and if its thread waits for another one the walk gives up its own.
 *
 * @param wait			wait for those that others have; otherwise pass them over
 * @param newest_first	in the order of registration, the newest first; collects what there is at the beginning
 * @return				walk, NULL when out of memory
 */
ivo_walk_t *ivo_sessiontable_walk(ivo_sessiontable_t *table, bool wait, bool newest_first);

/** Go to the next one, and give up the one before. NULL at the end. */
void *ivo_walk_next(ivo_walk_t *walk);

/** The one that the walk stands on stays checked out when the walk goes on or ends. */
void ivo_walk_keep(ivo_walk_t *walk);

/** Give up the one that the walk stands on, and end the walk. */
void ivo_walk_end(ivo_walk_t *walk);

/** Drive everybody out, and close and destroy all IKE_SAs, also those that are registered meanwhile. */
void ivo_sessiontable_flush(ivo_sessiontable_t *table);

/** Destroy what was registered after ivo_sessiontable_flush(); no other thread uses the table any more. */
void ivo_sessiontable_clear(ivo_sessiontable_t *table);

/*
 * CHILD_SAs. Any thread may call any of these; no look-up waits for anything.
 */

/**
 * Add both directions of a CHILD_SA, unless one of them is known.
 *
 * @return				false when out of memory: it was not added
 */
bool ivo_sessiontable_add_child(ivo_sessiontable_t *table, const ivo_child_sa_t *child);

/** Remove both directions of a CHILD_SA. */
void ivo_sessiontable_remove_child(ivo_sessiontable_t *table, uint32_t unique_id);

/** Find a CHILD_SA by what its packets carry; inbound ones first. */
bool ivo_sessiontable_find_child(const ivo_sessiontable_t *table, uint8_t protocol, uint32_t spi,
								 const ivo_address_t *destination, ivo_child_t *child);

/** Find a CHILD_SA by its unique ID. */
bool ivo_sessiontable_find_child_by_id(const ivo_sessiontable_t *table, uint32_t unique_id, ivo_child_t *child);

/** An authenticated packet came for a CHILD_SA. */
bool ivo_sessiontable_child_heard(ivo_sessiontable_t *table, uint8_t protocol, uint32_t spi,
								  const ivo_address_t *destination, uint32_t now);

IVO_END_DECLS

#endif /* IVO_SESSIONTABLE_H_ */
