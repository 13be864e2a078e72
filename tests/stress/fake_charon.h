// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ivo/sessiontable.h>

#include <atomic>
#include <cstdint>

/// An IKE_SA that only knows what the table asks for. Its fields are plain: whoever touches it must have it checked
/// out, and ThreadSanitizer says so if not.
struct FakeSa {
    static constexpr std::uint32_t kAlive = 0x600d600d;

    std::uint32_t magic = kAlive;
    ivo_ike_sa_t description{};
    /// Raised by each holder on the way in and out: odd while somebody has it.
    std::uint64_t uses = 0;

    ~FakeSa() { magic = 0xdeaddead; }
};

/// charon, as far as the table sees it.
class FakeCharon : public ivo_charon_t {
public:
    FakeCharon() : ivo_charon_t{} {
        describe = [](const ivo_charon_t*, void* sa, ivo_ike_sa_t* out) {
            *out = static_cast<FakeSa*>(sa)->description;
        };
        other_address = [](const ivo_charon_t*, void* sa, ivo_address_t* out) {
            *out = static_cast<FakeSa*>(sa)->description.other;
        };
        unique_id = [](const ivo_charon_t*, void* sa) { return static_cast<FakeSa*>(sa)->description.unique_id; };
        new_spi = [](const ivo_charon_t* self) { return of(self).nextSpi.fetch_add(1); };
        create = [](const ivo_charon_t* self, const ivo_ike_id_t* id) -> void* { return of(self).make(*id); };
        destroy = [](const ivo_charon_t* self, void* sa) {
            of(self).destroyed++;
            delete static_cast<FakeSa*>(sa);
        };
        enter = [](const ivo_charon_t*, void*) {};
        close = [](const ivo_charon_t* self, void*) { of(self).closed++; };
    }

    FakeSa* make(const ivo_ike_id_t& id) {
        if (failCreate) {
            return nullptr;
        }
        auto* sa = new FakeSa;
        sa->description.id = id;
        sa->description.unique_id = nextUniqueId.fetch_add(1);
        made++;
        return sa;
    }

    mutable std::atomic<std::uint64_t> nextSpi{1000};
    mutable std::atomic<std::uint32_t> nextUniqueId{1};
    mutable std::atomic<std::uint64_t> made{0}, destroyed{0}, closed{0};
    bool failCreate = false;

private:
    static FakeCharon& of(const ivo_charon_t* self) {
        return const_cast<FakeCharon&>(static_cast<const FakeCharon&>(*self));
    }
};
