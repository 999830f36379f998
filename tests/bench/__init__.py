"""`deploy/run bench`: PERFORMANCE.md section 2's table, beside the limits of the same run. No test asserts a time."""
