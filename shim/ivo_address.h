/* SPDX-License-Identifier: GPL-2.0-or-later */

/**
 * @defgroup ivo_address ivo_address
 * @{ @ingroup ivo_shim
 */

#ifndef IVO_ADDRESS_H_
#define IVO_ADDRESS_H_

#include <ivo/sessiontable.h>

#include <library.h>
#include <networking/host.h>

/**
 * Translate the address of a host, without its port.
 */
static inline ivo_address_t ivo_address_of(host_t *host)
{
	chunk_t bytes = host->get_address(host);
	ivo_address_t address = {};

	if (bytes.len == 4 || bytes.len == 16)
	{
		address.length = (uint8_t)bytes.len;
		memcpy(address.bytes, bytes.ptr, bytes.len);
	}
	return address;
}

#endif /** IVO_ADDRESS_H_ @}*/
