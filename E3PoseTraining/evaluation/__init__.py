"""How good a set of estimated poses is: errors, intervals, tables and figures."""
