// SPDX-License-Identifier: GPL-2.0-or-later
// The C ABI of ivo-sessiontable: <ivo/sessiontable.h> in terms of SessionTable.
#include <cstdlib>
#include <cstring>

#include "common/boundary.h"
#include "session_table.h"

/// The C ABI's opaque type.
struct ivo_walk_t : ivo::Walk {
    using Walk::Walk;
};

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

void ivo_sessiontable_count_served(ivo_sessiontable_t* table, ivo_manager_method_t method) {
    table->countServed(method);
}

uint64_t ivo_sessiontable_served_calls(const ivo_sessiontable_t* table) {
    return table->servedCalls();
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

void ivo_sessiontable_attach(ivo_sessiontable_t* table, const ivo_charon_t* charon,
                             const ivo_sessiontable_settings_t* settings) {
    table->ikeSas().attach(*charon, *settings);
}

bool ivo_sessiontable_enabled(const ivo_sessiontable_t* table) {
    return table->enabled();
}

void* ivo_sessiontable_checkout(ivo_sessiontable_t* table, const ivo_ike_id_t* id, ivo_checkout_t* how) {
    return table->ikeSas().checkout(*id, *how).handOver();
}

void* ivo_sessiontable_checkout_by_id(ivo_sessiontable_t* table, uint32_t unique_id) {
    return table->ikeSas().checkout(unique_id).handOver();
}

void* ivo_sessiontable_checkout_by_message(ivo_sessiontable_t* table, const ivo_ike_message_t* message,
                                           ivo_checkout_t* how) {
    return table->ikeSas().checkout(*message, *how).handOver();
}

ivo_init_t ivo_sessiontable_init_of(ivo_sessiontable_t* table, const ivo_ike_message_t* message) {
    return table->ikeSas().initOf(*message);
}

bool ivo_sessiontable_checkout_new(ivo_sessiontable_t* table, void* ike_sa) {
    return table->ikeSas().add(ike_sa);
}

bool ivo_sessiontable_has(ivo_sessiontable_t* table, void* ike_sa) {
    return table->ikeSas().has(ike_sa);
}

bool ivo_sessiontable_update(ivo_sessiontable_t* table, void* ike_sa, bool* wants_peers) {
    return table->ikeSas().update(ike_sa, *wants_peers);
}

void ivo_sessiontable_set_peers(ivo_sessiontable_t* table, void* ike_sa, const ivo_peers_t* peers) {
    table->ikeSas().setPeers(ike_sa, *peers);
}

void ivo_sessiontable_release(ivo_sessiontable_t* table, void* ike_sa) {
    table->ikeSas().release(ike_sa);
}

ivo_destroyed_t ivo_sessiontable_destroy_sa(ivo_sessiontable_t* table, void* ike_sa) {
    return table->ikeSas().destroy(ike_sa);
}

ivo_checkout_t ivo_sessiontable_change_spi(ivo_sessiontable_t* table, void* ike_sa, uint64_t spi) {
    return table->ikeSas().changeSpi(ike_sa, spi);
}

bool ivo_sessiontable_has_contact(ivo_sessiontable_t* table, const ivo_peers_t* peers, uint8_t family) {
    return table->ikeSas().hasContact(*peers, family);
}

size_t ivo_sessiontable_ids(ivo_sessiontable_t* table, const ivo_peers_t* peers, uint8_t family, ivo_ike_id_t** ids) {
    *ids = nullptr;
    size_t count = 0;
    ivo::list(table->host(), [&] {
        const auto found = table->ikeSas().idsBetween(*peers, family);
        if (found.empty()) {
            return;
        }
        const size_t bytes = found.size() * sizeof(ivo_ike_id_t);
        *ids = static_cast<ivo_ike_id_t*>(std::malloc(bytes));
        if (!*ids) {
            throw std::bad_alloc();
        }
        std::memcpy(*ids, found.data(), bytes);
        count = found.size();
    });
    return count;
}

uint32_t ivo_sessiontable_count(const ivo_sessiontable_t* table) {
    return table->ikeSas().count();
}

void ivo_sessiontable_track_init(ivo_sessiontable_t* table, const ivo_address_t* source) {
    table->ikeSas().halfOpen().raise(ivo::Address(*source), ivo::Role::responder);
}

void ivo_sessiontable_untrack_init(ivo_sessiontable_t* table, const ivo_address_t* source) {
    table->ikeSas().halfOpen().lower(ivo::Address(*source), ivo::Role::responder);
}

uint32_t ivo_sessiontable_half_open(const ivo_sessiontable_t* table, const ivo_address_t* other, bool responder_only) {
    const ivo::HalfOpen& halfOpen = table->ikeSas().halfOpen();
    return other ? halfOpen.count(ivo::Address(*other), responder_only) : halfOpen.count(responder_only);
}

ivo_walk_t* ivo_sessiontable_walk(ivo_sessiontable_t* table, bool wait, bool newest_first) {
    ivo_walk_t* walk = nullptr;
    ivo::list(table->host(), [&] { walk = new ivo_walk_t(table->ikeSas(), wait, newest_first); });
    return walk;
}

void* ivo_walk_next(ivo_walk_t* walk) {
    return walk->next();
}

void ivo_walk_keep(ivo_walk_t* walk) {
    walk->keep();
}

void ivo_walk_end(ivo_walk_t* walk) {
    delete walk;
}

void ivo_sessiontable_flush(ivo_sessiontable_t* table) {
    table->ikeSas().flush();
}

void ivo_sessiontable_clear(ivo_sessiontable_t* table) {
    table->ikeSas().clear();
}

bool ivo_sessiontable_add_child(ivo_sessiontable_t* table, const ivo_child_sa_t* child) {
    return table->childSas().add(*child);
}

void ivo_sessiontable_remove_child(ivo_sessiontable_t* table, uint32_t unique_id) {
    table->childSas().remove(unique_id);
}

bool ivo_sessiontable_find_child(const ivo_sessiontable_t* table, uint8_t protocol, uint32_t spi,
                                 const ivo_address_t* destination, ivo_child_t* child) {
    const auto found = table->childSas().find(protocol, spi, ivo::Address(*destination));
    *child = found.value_or(ivo_child_t{});
    return found.has_value();
}

bool ivo_sessiontable_find_child_by_id(const ivo_sessiontable_t* table, uint32_t unique_id, ivo_child_t* child) {
    const auto found = table->childSas().find(unique_id);
    *child = found.value_or(ivo_child_t{});
    return found.has_value();
}

bool ivo_sessiontable_child_heard(ivo_sessiontable_t* table, uint8_t protocol, uint32_t spi,
                                  const ivo_address_t* destination, uint32_t now) {
    return table->childSas().heard(protocol, spi, ivo::Address(*destination), now);
}
