"""From a question to a table: cells that are trained, sampled and measured, and compared."""
