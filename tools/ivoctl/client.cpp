// SPDX-License-Identifier: GPL-2.0-or-later
#include "client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace ivoctl {

namespace {

using Clock = std::chrono::steady_clock;

/// A connected socket; closes itself.
class Connection {
public:
    Connection(const std::string& path, Clock::time_point deadline) : path_(path), deadline_(deadline) {
        sockaddr_un address{};
        if (path.size() >= sizeof(address.sun_path)) {
            throw RequestError("the socket's path is longer than " + std::to_string(sizeof(address.sun_path) - 1) +
                               " bytes: " + path);
        }
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd_ < 0) {
            fail("no socket");
        }
        // A UNIX socket whose backlog is full answers EAGAIN at once, and poll() cannot wait for room in it.
        while (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
            const int reason = errno;
            if (reason == EAGAIN && Clock::now() < deadline_) {
                ::poll(nullptr, 0, 20);
            } else if (reason != EINTR) {
                ::close(fd_);
                errno = reason;
                fail(reason == ENOENT || reason == ECONNREFUSED ? "no daemon with an IVO plugin there"
                                                                : "cannot connect");
            }
        }
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { ::close(fd_); }

    void send(const std::string& text) {
        for (std::size_t sent = 0; sent < text.size();) {
            wait(POLLOUT);
            const auto length = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
            if (length >= 0) {
                sent += static_cast<std::size_t>(length);
            } else if (errno == EPIPE) {
                return;  // the daemon refuses; its reason may be there to read
            } else if (errno != EAGAIN && errno != EINTR) {
                fail("cannot send");
            }
        }
    }

    std::string receiveAll() {
        std::string all;
        std::array<char, 65536> part;
        for (;;) {
            wait(POLLIN);
            const auto length = ::recv(fd_, part.data(), part.size(), 0);
            if (length > 0) {
                all.append(part.data(), static_cast<std::size_t>(length));
            } else if (length == 0 || errno == ECONNRESET) {
                return all;
            } else if (errno != EAGAIN && errno != EINTR) {
                fail("cannot receive");
            }
        }
    }

private:
    [[noreturn]] void fail(const std::string& what) const {
        throw RequestError(path_ + ": " + what + " (" + std::generic_category().message(errno) + ")");
    }

    void wait(short events) const {
        for (;;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
            pollfd entry{fd_, events, 0};
            const int ready = left > 0 ? ::poll(&entry, 1, static_cast<int>(left)) : 0;
            if (ready > 0) {
                return;
            }
            if (ready == 0) {
                throw RequestError(path_ + ": no answer in time; the daemon may be busy (--timeout)");
            }
            if (errno != EINTR) {
                fail("cannot wait");
            }
        }
    }

    const std::string& path_;
    Clock::time_point deadline_;
    int fd_ = -1;
};

}  // namespace

std::vector<std::string> parseAnswer(const std::string& answer) {
    constexpr std::string_view error = "error: ";
    std::vector<std::string> lines;
    std::size_t start = 0;
    for (std::size_t end; (end = answer.find('\n', start)) != std::string::npos; start = end + 1) {
        lines.push_back(answer.substr(start, end - start));
    }
    if (start != answer.size() || lines.empty()) {
        throw RequestError("the answer was cut off");
    }
    const std::string status = std::move(lines.back());
    lines.pop_back();
    if (status.starts_with(error)) {
        throw RequestError("the daemon says: " + status.substr(error.size()));
    }
    if (status != "ok") {
        throw RequestError("the answer was cut off");
    }
    return lines;
}

std::vector<std::string> request(const std::string& path, const std::string& words, std::chrono::seconds timeout) {
    Connection connection(path, Clock::now() + timeout);
    connection.send(words + '\n');
    return parseAnswer(connection.receiveAll());
}

}  // namespace ivoctl
