// SPDX-License-Identifier: GPL-2.0-or-later
// The C ABI of ivo-sessiontable: <ivo/sessiontable.h> in terms of SessionTable.
#include "common/boundary.h"
#include "session_table.h"

ivo_sessiontable_t* ivo_sessiontable_create(const ivo_host_t* host) {
    return ivo::createCore<ivo_sessiontable_t>(*host);
}

void ivo_sessiontable_destroy(ivo_sessiontable_t* table) {
    delete table;
}

void ivo_sessiontable_reload(ivo_sessiontable_t* table) {
    ivo::reloadCore(*table);
}

void ivo_sessiontable_count_call(ivo_sessiontable_t* table, ivo_manager_method_t method) {
    table->countCall(method);
}

uint64_t ivo_sessiontable_delegated_calls(const ivo_sessiontable_t* table) {
    return table->delegatedCalls();
}

uint64_t ivo_sessiontable_bypassed_calls(const ivo_sessiontable_t* table) {
    return table->bypassedCalls();
}

void ivo_sessiontable_stats(const ivo_sessiontable_t* table, uint32_t ike_sas, uint32_t half_open, ivo_reply_t* reply) {
    ivo::answer(*reply, [&] { return table->describe(ike_sas, half_open); });
}
