"""Changes of what only we know: hosts, pools, people and their roles. Each asks `access` first and writes the audit."""
