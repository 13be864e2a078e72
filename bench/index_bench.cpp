// SPDX-License-Identifier: GPL-2.0-or-later
//
// Our hash index and slab against liburcu's resizable hash table (cds_lfht, bp flavour) on the same work: objects with a
// 64-bit key, found by that key. Prints a table; see docs/decisions/0001-session-table.md.
//
// usage: index_bench [objects ...]

#include <ivo-sessiontable/hash_index.h>
#include <ivo-sessiontable/keyed_hash.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#define RCU_MEMBARRIER
#include <urcu-bp.h>
#include <urcu/rculfhash.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRuns = 5;

/// The keyed hash is the same on both sides, and part of each operation.
const ivo::KeyedHash hash({0x0123456789abcdefu, 0xfedcba9876543210u});

struct Object {
    std::atomic<std::uint64_t> key;
    std::atomic<ivo::Place> nextFree;
    char rest[112];
};

class OurTable {
public:
    static constexpr const char* kName = "ours";

    bool insert(std::uint64_t key) {
        const auto place = slab_.take();
        slab_[*place].key.store(key, std::memory_order_relaxed);
        return index_.insert(static_cast<std::uint32_t>(hash.word(key)), *place);
    }
    bool find(std::uint64_t key) const {
        return index_.find(static_cast<std::uint32_t>(hash.word(key)),
                           [&](ivo::Place place) { return slab_[place].key.load(std::memory_order_acquire) == key; });
    }
    bool remove(std::uint64_t key) {
        const auto hashed = static_cast<std::uint32_t>(hash.word(key));
        ivo::Place found = 0;
        if (!index_.find(hashed, [&](ivo::Place place) {
                found = place;
                return slab_[place].key.load(std::memory_order_acquire) == key;
            })) {
            return false;
        }
        index_.remove(hashed, found);
        slab_[found].key.store(0, std::memory_order_relaxed);
        slab_.release(found);
        return true;
    }

private:
    ivo::HashIndex index_;
    ivo::Slab<Object> slab_;
};

class RcuTable {
public:
    static constexpr const char* kName = "cds_lfht";

    RcuTable() : table_(cds_lfht_new(64, 64, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, nullptr)) {}
    // 0.13.2 can deadlock when a table with automatic resize is destroyed: the process ends soon, let it lie.
    ~RcuTable() = default;

    bool insert(std::uint64_t key) {
        auto* node = new Node;
        node->key = key;
        cds_lfht_node_init(&node->node);
        rcu_read_lock();
        cds_lfht_add(table_, hash.word(key), &node->node);
        rcu_read_unlock();
        return true;
    }
    bool find(std::uint64_t key) const {
        rcu_read_lock();
        const bool found = lookup(key) != nullptr;
        rcu_read_unlock();
        return found;
    }
    bool remove(std::uint64_t key) {
        rcu_read_lock();
        Node* node = lookup(key);
        const bool removed = node && cds_lfht_del(table_, &node->node) == 0;
        rcu_read_unlock();
        if (removed) {
            call_rcu(&node->head, [](rcu_head* head) { delete caa_container_of(head, Node, head); });
        }
        return removed;
    }

private:
    struct Node {
        cds_lfht_node node;
        std::uint64_t key;
        rcu_head head;
        char rest[112];
    };
    Node* lookup(std::uint64_t key) const {
        cds_lfht_iter iterator;
        cds_lfht_lookup(
            table_, hash.word(key),
            [](cds_lfht_node* node, const void* wanted) -> int {
                return caa_container_of(node, Node, node)->key == *static_cast<const std::uint64_t*>(wanted);
            },
            &key, &iterator);
        cds_lfht_node* node = cds_lfht_iter_get_node(&iterator);
        return node ? caa_container_of(node, Node, node) : nullptr;
    }
    cds_lfht* table_;
};

double nanoseconds(Clock::duration time) {
    return std::chrono::duration<double, std::nano>(time).count();
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// Nanoseconds an operation, as each of the threads sees it.
double measure(int threads, int operations, const std::function<void(int thread, int count)>& work) {
    std::vector<std::thread> running;
    std::atomic<int> ready{0};
    std::vector<double> times(static_cast<std::size_t>(threads));
    for (int thread = 0; thread < threads; thread++) {
        running.emplace_back([&, thread] {
            ready++;
            while (ready.load() < threads) {
            }
            const auto start = Clock::now();
            work(thread, operations);
            times[static_cast<std::size_t>(thread)] = nanoseconds(Clock::now() - start) / operations;
        });
    }
    for (auto& thread : running) {
        thread.join();
    }
    return median(times);
}

std::uint64_t keyOf(std::uint64_t number) {
    return (number + 1) * 0x9e3779b97f4a7c15u;
}

struct Result {
    double grow, longest, find[3], mixed[3], churn;
};

template <typename Table>
Result run(std::uint64_t objects) {
    constexpr int kOperations = 400000;
    auto table = std::make_unique<Table>();
    Result result{};
    const auto start = Clock::now();
    std::vector<double> single;
    single.reserve(objects);
    for (std::uint64_t i = 0; i < objects; i++) {
        const auto before = Clock::now();
        table->insert(keyOf(i));
        single.push_back(nanoseconds(Clock::now() - before));
    }
    result.grow = nanoseconds(Clock::now() - start) / static_cast<double>(objects);
    result.longest = std::ranges::max(single) / 1000;

    for (const int threads : {1, 2}) {
        result.find[threads] = measure(threads, kOperations, [&](int thread, int count) {
            std::mt19937_64 random(static_cast<std::uint64_t>(thread));
            for (int i = 0; i < count; i++) {
                if (!table->find(keyOf(random() % objects))) {
                    std::abort();
                }
            }
        });
        // a tenth of the operations replace an object of the thread's own
        result.mixed[threads] = measure(threads, kOperations, [&](int thread, int count) {
            std::mt19937_64 random(static_cast<std::uint64_t>(thread));
            std::uint64_t own = objects + static_cast<std::uint64_t>(thread) * 1000000000;
            table->insert(keyOf(own));
            for (int i = 0; i < count; i++) {
                if (i % 10 == 0) {
                    table->insert(keyOf(own + 1));
                    table->remove(keyOf(own++));
                } else if (!table->find(keyOf(random() % objects))) {
                    std::abort();
                }
            }
            table->remove(keyOf(own));
        });
    }
    result.churn = measure(2, kOperations / 2, [&](int thread, int count) {
        std::uint64_t own = objects + 5000000000 + static_cast<std::uint64_t>(thread) * 1000000000;
        for (int i = 0; i < count; i++) {
            table->insert(keyOf(own));
            table->remove(keyOf(own++));
        }
    });
    (void)table.release();
    return result;
}

template <typename Table>
void report(std::uint64_t objects) {
    std::vector<double> grow, longest, find1, find2, mixed1, mixed2, churn;
    for (int i = 0; i < kRuns; i++) {
        const Result result = run<Table>(objects);
        grow.push_back(result.grow);
        longest.push_back(result.longest);
        find1.push_back(result.find[1]);
        find2.push_back(result.find[2]);
        mixed1.push_back(result.mixed[1]);
        mixed2.push_back(result.mixed[2]);
        churn.push_back(result.churn);
    }
    std::printf("| %-8s | %8llu | %6.0f | %6.0f | %6.0f | %6.0f | %6.0f | %8.0f | %6.0f |\n", Table::kName,
                static_cast<unsigned long long>(objects), median(find1), median(find2), median(mixed1), median(mixed2),
                median(grow), median(longest), median(churn));
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char* argv[]) {
    std::vector<std::uint64_t> sizes;
    for (int i = 1; i < argc; i++) {
        sizes.push_back(std::strtoull(argv[i], nullptr, 10));
    }
    if (sizes.empty()) {
        sizes = {1000, 50000, 1000000};
    }
    std::printf("ns an operation, median of %d runs; the longest insertion while growing in microseconds\n", kRuns);
    std::printf("|          |  objects | find/1 | find/2 | mix/1  | mix/2  | grow   | longest  | churn/2|\n");
    std::printf("| -------- | -------- | ------ | ------ | ------ | ------ | ------ | -------- | ------ |\n");
    for (const auto objects : sizes) {
        report<OurTable>(objects);
        report<RcuTable>(objects);
    }
    std::fflush(stdout);
    _exit(0);
}
