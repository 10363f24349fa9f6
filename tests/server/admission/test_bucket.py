"""A bucket of tokens."""

from __future__ import annotations

from nacre.server.admission.bucket import Bucket, Buckets


def test_a_bucket_has_a_burst_and_a_rate() -> None:
    now = 0.0
    bucket = Bucket(2, 3, lambda: now)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now = 0.4
    assert not bucket.take()
    now = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    now = 1000
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_each_key_has_a_bucket_and_so_many_are_remembered() -> None:
    buckets: Buckets[str] = Buckets(1, 1, 2, lambda: 0.0)
    assert [buckets.take(key) for key in ("a", "a", "b", "a")] == [True, False, True, False]
    assert buckets.take("c")
    assert len(buckets) == 2
    assert buckets.take("b")  # it was forgotten, and begins anew
