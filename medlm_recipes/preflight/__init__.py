"""Whether a run fits, how long it takes and what it costs, before it is launched."""
