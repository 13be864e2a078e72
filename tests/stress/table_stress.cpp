// SPDX-License-Identifier: GPL-2.0-or-later
//
// Threads that do everything at once on a small table of IKE_SAs, so that they meet; then a flush while they still try.
// What must hold: nobody has an SA that somebody else has, nothing is used after it went, every SA goes exactly once,
// and all counts end at 0. Made for --enable-tsan and --enable-asan builds, where the fake SAs' plain fields tell.
//
// usage: table_stress [SEED [SECONDS [THREADS]]]

#include <ivo-sessiontable/ike_sa_table.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "fake_charon.h"

namespace {

using ivo::IkeSaTable;

std::uint64_t seed = 1;

void must(bool holds, const char* what) {
    if (!holds) {
        std::fprintf(stderr, "table_stress: seed %llu: %s\n", static_cast<unsigned long long>(seed), what);
        std::abort();
    }
}

ivo_address_t addressOf(std::uint64_t number) {
    ivo_address_t address{};
    address.length = number % 3 == 0 ? 16 : 4;
    address.bytes[0] = 10;
    address.bytes[3] = static_cast<std::uint8_t>(number % 8);
    return address;
}

class Stress {
public:
    Stress() {
        const ivo_sessiontable_settings_t settings{.ikesa_limit = 400, .threads = 6};
        table.attach(charon, settings);
    }

    void run(int threads, double seconds) {
        std::vector<std::thread> running;
        for (int thread = 0; thread < threads; thread++) {
            running.emplace_back([this, thread] { work(static_cast<std::uint64_t>(thread)); });
        }
        std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
        flushing.store(true);
        table.flush();
        stop.store(true);
        for (auto& thread : running) {
            thread.join();
        }
        table.clear();
        must(table.count() == 0, "SAs are left");
        must(table.halfOpen().count(false) == 0, "half-open counts are left");
        must(table.halfOpen().count(true) == 0, "half-open counts as responder are left");
        must(table.halfOpen().addresses() == 0, "half-open addresses are left");
        must(charon.made.load() == charon.destroyed.load(), "an SA went twice or never");
        std::printf(
            "seed %llu: %llu operations, %llu SAs, %llu checkouts, %llu closed by flush, %llu refused\n",
            static_cast<unsigned long long>(seed), static_cast<unsigned long long>(operations.load()),
            static_cast<unsigned long long>(charon.made.load()), static_cast<unsigned long long>(checkouts.load()),
            static_cast<unsigned long long>(charon.closed.load()), static_cast<unsigned long long>(table.refused()));
    }

private:
    static constexpr std::uint64_t kSas = 64;

    static ivo_ike_id_t idOf(std::uint64_t number) {
        return {.initiator_spi = number + 1, .responder_spi = 0, .version = 2, .initiator = true};
    }

    ivo_peers_t peersOf(std::uint64_t number) {
        static const std::uint8_t names[4] = {'a', 'b', 'c', 'd'};
        return {{2, names, 1}, {3, &names[number % 4], 1}};
    }

    /// What a holder does with an SA.
    void use(void* pointer) {
        auto* sa = static_cast<FakeSa*>(pointer);
        must(sa->magic == FakeSa::kAlive, "an SA was handed out that is gone");
        must(sa->uses % 2 == 0, "an SA was handed out twice");
        sa->uses++;
        if (sa->uses % 7 == 0) {
            std::this_thread::yield();
        }
        must(sa->magic == FakeSa::kAlive, "an SA went while somebody had it");
        sa->uses++;
        checkouts.fetch_add(1, std::memory_order_relaxed);
    }

    void checkin(void* sa, std::mt19937_64& random) {
        auto& description = static_cast<FakeSa*>(sa)->description;
        switch (random() % 6) {
            case 0:
                if (description.id.initiator && description.id.responder_spi == 0) {
                    description.id.responder_spi = random() | 1;
                }
                break;
            case 1:
                description.connecting = true;
                description.other = addressOf(random());
                break;
            case 2:
                description.connecting = false;
                description.established = true;
                description.other = addressOf(random());
                break;
            case 3:
                if (description.id.initiator) {
                    const std::uint64_t spi = random() % kSas + 1;
                    if (table.changeSpi(sa, spi) == IVO_CHECKOUT_FOUND) {
                        description.id.initiator_spi = spi;
                    }
                }
                break;
            default:
                break;
        }
        bool wantsPeers = false;
        must(table.update(sa, wantsPeers), "out of memory");
        if (wantsPeers) {
            table.setPeers(sa, peersOf(description.unique_id));
        }
        table.release(sa);
    }

    void give(void* sa, std::mt19937_64& random) {
        if (random() % 8 == 0) {
            if (table.destroy(sa) == IVO_NOT_REGISTERED) {
                must(false, "an SA that was checked out is not known");
            }
        } else {
            checkin(sa, random);
        }
    }

    void message(std::mt19937_64& random) {
        std::uint8_t bytes[1] = {static_cast<std::uint8_t>(random() % 32)};
        ivo_ike_message_t message{};
        message.id = {.initiator_spi = bytes[0] + 1u, .responder_spi = 0, .version = 2, .initiator = true};
        message.request = true;
        message.exchange = IVO_EXCHANGE_IKE_SA_INIT;
        message.source = addressOf(bytes[0]);
        message.processing = message.message_id = 0;
        message.bytes = bytes;
        message.length = sizeof(bytes);
        if (random() % 2 == 0) {
            message.exchange = IVO_EXCHANGE_OTHER;
            message.id.responder_spi = 1000 + random() % 64;
            message.processing = message.message_id = static_cast<std::uint32_t>(random() % 4);
        } else {
            table.halfOpen().raise(ivo::Address(message.source), ivo::Role::responder);
        }
        ivo_checkout_t how;
        if (void* sa = table.checkout(message, how).handOver()) {
            if (how == IVO_CHECKOUT_CREATED) {
                auto& description = static_cast<FakeSa*>(sa)->description;
                description.connecting = true;
                description.other = message.source;
            }
            use(sa);
            give(sa, random);
        }
    }

    void walk(std::mt19937_64& random) {
        ivo::Walk walk(table, random() % 2 == 0, random() % 4 == 0);
        for (std::uint64_t left = random() % 100; left > 0; left--) {
            void* sa = walk.next();
            if (!sa) {
                break;
            }
            use(sa);
            switch (random() % 24) {
                case 0: {
                    // the same one again
                    ivo_checkout_t how;
                    const ivo_ike_id_t id = static_cast<FakeSa*>(sa)->description.id;
                    if (void* again = table.checkout(id, how).handOver()) {
                        use(again);
                        give(again, random);
                    }
                    break;
                }
                case 1: {
                    // another one: the walk may lose its own, and does not touch it any more
                    ivo_checkout_t how;
                    if (void* other = table.checkout(idOf(random() % kSas), how).handOver()) {
                        use(other);
                        give(other, random);
                    }
                    break;
                }
                case 2:
                    walk.keep();
                    give(sa, random);
                    return;
                default:
                    break;
            }
        }
    }

    void work(std::uint64_t thread) {
        std::mt19937_64 random(seed * 1000 + thread);
        ivo_checkout_t how;
        while (!stop.load(std::memory_order_relaxed)) {
            operations.fetch_add(1, std::memory_order_relaxed);
            switch (random() % 10) {
                case 0:
                    if (table.count() < 200 && !flushing.load(std::memory_order_relaxed)) {
                        FakeSa* sa = charon.make(idOf(random() % kSas));
                        must(table.add(sa), "out of memory");
                        use(sa);
                        give(sa, random);
                    }
                    break;
                case 1:
                case 2:
                    message(random);
                    break;
                case 3:
                    walk(random);
                    break;
                case 4:
                    if (void* sa =
                            table.checkout(static_cast<std::uint32_t>(charon.nextUniqueId.load() - random() % 256))
                                .handOver()) {
                        use(sa);
                        give(sa, random);
                    }
                    break;
                case 5:
                    table.hasContact(peersOf(random()), 4);
                    for (const auto& id : table.idsBetween(peersOf(random()), 0)) {
                        must(id.version == 2, "an ID that nobody has");
                    }
                    table.halfOpen().count(ivo::Address(addressOf(random())), true);
                    break;
                default:
                    if (void* sa = table.checkout(idOf(random() % kSas), how).handOver()) {
                        use(sa);
                        give(sa, random);
                    }
                    break;
            }
        }
    }

    FakeCharon charon;
    IkeSaTable table;
    std::atomic<bool> stop{false}, flushing{false};
    std::atomic<std::uint64_t> operations{0}, checkouts{0};
};

}  // namespace

int main(int argc, char* argv[]) {
    seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
    const double seconds = argc > 2 ? std::strtod(argv[2], nullptr) : 1;
    const int threads = argc > 3 ? std::atoi(argv[3]) : 6;
    Stress().run(threads, seconds);
    return 0;
}
