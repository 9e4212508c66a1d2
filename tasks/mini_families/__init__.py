"""The families of problems of the task `mini`; the table of them is `tasks.mini_families.table`."""
