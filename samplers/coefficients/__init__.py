"""Numbers that methods are made of: tableaux, Lagrange weights."""
