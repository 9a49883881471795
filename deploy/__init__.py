"""How vmportal is set up, started, supervised and tested on a machine."""
