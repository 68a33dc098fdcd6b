"""What confines a worker: layers applied in the fork before the first line of student code, and a watchdog outside."""
