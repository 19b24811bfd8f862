#pragma once
/// Allocations of the process since its start.
unsigned long long allocation_count(void);
/// Gives free memory back to the system, so that what is resident is what is used.
void give_free_memory_back(void);
/// Writes a line to standard error.
void complain(const char *line);
/// What was printed goes out.
void flush_output(void);
