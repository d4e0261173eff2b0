"""Positions of partitions: never beyond what is unfinished, never lost to a reassignment."""

from billplane.chassis.events.progress import Progress
from billplane.chassis.events.transport import Delivery
from hypothesis import given
from hypothesis import strategies as st

PARTITION = ("topic", 0)


@given(st.permutations(range(12)), st.integers(0, 12))
def test_the_position_is_the_oldest_unfinished_message_whatever_the_order(order, finished):
    progress = Progress()
    places = [progress.begin(PARTITION, offset) for offset in range(12)]
    for offset in order[:finished]:
        progress.finish(places[offset])
    left = order[finished:]
    assert progress.advanced() == {PARTITION: min(left, default=12)}
    assert progress.unfinished == len(left)
    assert progress.advanced() == {}


def test_a_message_of_a_partition_that_was_given_away_is_not_ours_to_finish():
    progress = Progress()
    old = progress.begin(PARTITION, 5)
    progress.put_off(Delivery("topic", b"", 1, old), 0)
    progress.forget(PARTITION)
    new = progress.begin(PARTITION, 5)
    progress.finish(old)
    assert progress.due() is None
    assert progress.advanced() == {PARTITION: 5}
    progress.finish(new)
    assert progress.advanced() == {PARTITION: 6}


def test_a_message_put_off_is_due_again_as_its_next_attempt():
    progress = Progress()
    place = progress.begin(PARTITION, 0)
    progress.put_off(Delivery("topic", b"x", 3, place), 60)
    assert progress.due() is None
    assert 0 < progress.until_due(100) <= 60
    progress.put_off(Delivery("topic", b"y", 3, place), 0)
    again = progress.due()
    assert (again.envelope, again.attempt) == (b"y", 4)
