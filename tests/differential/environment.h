/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup environment environment
 * @{ @ingroup differential
 *
 * libstrongswan and libcharon in this process, without threads, sockets and kernel: the daemon never starts. Only what
 * leaves charon is replaced: its sender keeps the last packet instead of sending it.
 */

#ifndef DIFFERENTIAL_ENVIRONMENT_H_
#define DIFFERENTIAL_ENVIRONMENT_H_

#include <daemon.h>

/** Addresses that peers have: some share a family, none a network. */
#define PEER_HOSTS 5

/** Connections of the gateway, some of them equal: see environment.c. */
#define PEER_CFGS 6

/** Own and remote identities. */
#define MY_IDS 2
#define OTHER_IDS 5

/** Configs that CHILD_SAs are made of. */
#define CHILD_CFGS 2

/** Initial messages as a real peer sends them, made once by real initiators. */
#define CAPTURED 8

typedef struct environment_t environment_t;

struct environment_t {
	/** own address */
	host_t *me;
	/** addresses of peers */
	host_t *peers[PEER_HOSTS];
	/** identities */
	identification_t *my_ids[MY_IDS];
	identification_t *other_ids[OTHER_IDS];
	/** child config that CHILD_SAs are made of */
	child_cfg_t *children[CHILD_CFGS];
	/** first packets of IKE_SAs, the even ones IKEv2, the odd ones IKEv1 main mode */
	chunk_t captured[CAPTURED];
};

/** The one in this process. */
extern environment_t *environment;

/**
 * Make it.
 *
 * @return			FALSE, with the reason on stderr, if libcharon or its plugins can not be used
 */
bool environment_init(void);

void environment_deinit(void);

/**
 * Write what charon logs to stderr, or stop that.
 */
void environment_log(bool on);

/**
 * Make the connections anew, with uniqueness policies drawn from a number.
 *
 * @param policies	three bits for each policy group
 * @param cfgs		receives PEER_CFGS references
 */
void environment_create_cfgs(uint32_t policies, peer_cfg_t *cfgs[PEER_CFGS]);

#endif /** DIFFERENTIAL_ENVIRONMENT_H_ @}*/
