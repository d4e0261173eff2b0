"""Use cases of metering: meters, taking usage, moving it to Postgres, reading it, the estimate."""
