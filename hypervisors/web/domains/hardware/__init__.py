"""The Hardware tab of a virtual machine: its devices and sections, their forms, and what waits for the next start."""
