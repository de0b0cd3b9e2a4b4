"""Use cases: functions that load, decide and save within a unit of work."""
