"""All that differs between a CPU and a GPU: clock, memory, switches, graphs, kernel names."""
