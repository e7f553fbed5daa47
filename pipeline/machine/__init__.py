"""What this machine is and is allowed: environment, ISA caps, emulation, memory."""
