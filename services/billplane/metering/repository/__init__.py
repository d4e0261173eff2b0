"""Every SQL statement of metering; how an event becomes a quantity is in the migrations."""
