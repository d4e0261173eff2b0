"""Sealed values: only the key and the place that they were sealed for open them."""

import pytest
from billplane.chassis.sealing import SealBroken, Sealer, keyed_digest
from hypothesis import given
from hypothesis import strategies as st

SEED, OTHER = bytes(32), bytes([1] * 32)
PLACE = ("feed_sources", "ten_1", "fxf_1")


@given(st.binary(max_size=200), st.lists(st.text(max_size=5), max_size=4))
def test_a_sealed_value_opens_where_it_was_sealed(value, place):
    sealer = Sealer("tests", SEED)
    sealed = sealer.seal(value, *place)
    assert Sealer("tests", SEED).open(sealed, *place) == value
    assert len(value) < 8 or value not in sealed


def test_the_same_value_is_sealed_differently_each_time():
    sealer = Sealer("tests", SEED)
    assert sealer.seal(b"token", *PLACE) != sealer.seal(b"token", *PLACE)


@pytest.mark.parametrize(
    "other", [Sealer("tests", OTHER), Sealer("other", SEED)], ids=["another seed", "purpose"]
)
def test_another_key_opens_nothing(other):
    sealed = Sealer("tests", SEED).seal(b"token", *PLACE)
    with pytest.raises(SealBroken) as broken:
        other.open(sealed, *PLACE)
    assert "token" not in str(broken.value)


@pytest.mark.parametrize(
    "place",
    [
        ("feed_sources", "ten_2", "fxf_1"),
        ("feed_sources", "ten_1", "fxf_2"),
        ("feed_sources", "ten_1"),
        ("feed_sources", 'ten_1", "fxf_1'),
        (),
    ],
)
def test_another_place_opens_nothing(place):
    sealer = Sealer("tests", SEED)
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"token", *PLACE), *place)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_value_that_was_changed_anywhere_does_not_open(at, flipped):
    sealer = Sealer("tests", SEED)
    sealed = bytearray(sealer.seal(b"token", *PLACE))
    sealed[at % len(sealed)] ^= flipped
    with pytest.raises(SealBroken):
        sealer.open(bytes(sealed), *PLACE)


@pytest.mark.parametrize("length", [0, 1, 20, 21, 36])
def test_a_value_that_was_cut_does_not_open(length):
    sealer = Sealer("tests", SEED)
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"token", *PLACE)[:length], *PLACE)


def test_after_a_rotation_old_values_open_and_new_ones_need_the_new_seed():
    before = Sealer("tests", SEED)
    during = Sealer("tests", OTHER, SEED)
    after = Sealer("tests", OTHER)
    old, new = before.seal(b"old", *PLACE), during.seal(b"new", *PLACE)
    assert during.open(old, *PLACE) == b"old"
    assert after.open(new, *PLACE) == b"new"
    for sealer, sealed in ((before, new), (after, old)):
        with pytest.raises(SealBroken):
            sealer.open(sealed, *PLACE)


def test_a_digest_tells_apart_values_places_and_seeds():
    digests = {
        keyed_digest(SEED, b"value", "a", "b"),
        keyed_digest(SEED, b"other", "a", "b"),
        keyed_digest(SEED, b"value", "ab"),
        keyed_digest(SEED, b"value", "b", "a"),
        keyed_digest(OTHER, b"value", "a", "b"),
    }
    assert len(digests) == 5
    assert keyed_digest(SEED, b"value", "a", "b") in digests
