"""What this machine's libraries say of themselves: ISA, kernels, memory, what can be loaded."""
