"""What every service with tables does for them: forget what has expired, tell what waits."""

from datetime import timedelta
from typing import Final

from billplane.chassis import metrics
from billplane.chassis.jobs import Jobs, Worker

# A key is good for three days; handled messages are remembered for thirty more, which is longer
# than any stream keeps them.
KEY_LIFETIME: Final = timedelta(days=3)

housekeeping = Jobs()


@housekeeping.every(3600)
async def forget_old(worker: Worker) -> None:
    """Delete answers of keys that have expired, and notes of messages that cannot come again."""
    await worker.find("forget_old", before=worker.runtime.clock.now() - KEY_LIFETIME)


@housekeeping.every(10)
async def measure_outbox(worker: Worker) -> None:
    """Tell how long the oldest message has been waiting to be published."""
    ((age,),) = await worker.find("outbox_age")
    metrics.OUTBOX_AGE.labels(worker.runtime.name).set(age)
