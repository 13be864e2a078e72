# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process costs, read from /proc, and the statistics of paired runs."""

import math
import os
import pathlib
import statistics

# Two-sided 95% quantiles of Student's t for 1, 2, … degrees of freedom; beyond these 1.96 and a little.
STUDENT_95 = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
              2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086]


def cpu_seconds(pid):
    """User and system time of all threads of a process so far."""
    after_name = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    """Resident memory of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError(f"process {pid} has no VmRSS")


def udp_counters(pid):
    """The UDP counters of the network namespace a process is in."""
    lines = [line.split() for line in pathlib.Path(f"/proc/{pid}/net/snmp").read_text().splitlines()
             if line.startswith("Udp:")]
    return dict(zip(lines[0][1:], map(int, lines[1][1:])))


def percentile(values, share):
    """The value below which this share of all lies; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1 if share else 0)]


def ratio_with_spread(pairs):
    """The geometric mean of b / a over pairs (a, b), with its 95% confidence interval and range.

    Ratios, not differences, because a machine's speed drifts and moves both of a pair alike; logarithms, so
    that twice and half are equally far from one. With one pair there is no interval.
    """
    logs = [math.log(b / a) for a, b in pairs]
    mean = statistics.fmean(logs)
    result = {"ratio": math.exp(mean), "least": math.exp(min(logs)), "most": math.exp(max(logs)),
              "rounds": len(logs)}
    if len(logs) > 1:
        freedom = len(logs) - 1
        student = STUDENT_95[freedom - 1] if freedom <= len(STUDENT_95) else 1.96 + 2.5 / freedom
        half = student * statistics.stdev(logs) / math.sqrt(len(logs))
        result.update(low=math.exp(mean - half), high=math.exp(mean + half))
    return result
