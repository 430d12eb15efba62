# SPDX-License-Identifier: Apache-2.0
"""routerd's counters of posts between workers are right. workers.py relies on them."""

import pytest
from servers import BUILD, run
from workers import router


@pytest.fixture
def routerd():
    with router(2, [0]) as server:
        yield server


def crossed(routerd, *args):
    """What 1,000 calls add to the counters. The callee is on worker 0, everything else on worker 1."""
    counted = []
    for count in (200, 1200):
        before = routerd.counters()
        run(BUILD / "bench/wampbench", "rpc", *routerd.where("ws-tcp"), *args, "--count", count)
        counted.append(routerd.counters())
        counted[-1].subtract(before)
    counted[1].subtract(counted[0])
    assert counted[1]["realm.calls"] == 1000
    return counted[1]


def test_a_call_crosses_twice_and_wakes_twice(routerd):
    counted = crossed(routerd)
    assert counted["posts_out"] == counted["posts_in"] == 2000
    # the posts of a login may share a wake-up
    assert abs(counted["batches_out"] - 2000) <= 10
    assert abs(counted["wakeups"] - 2000) <= 10


def test_posts_of_a_turn_cross_together(routerd):
    counted = crossed(routerd, "--window", 50, "--burst")
    assert counted["posts_out"] == 2000
    assert counted["wakeups"] <= counted["batches_out"] <= 2000 / 10
