"""How the pages write times, money and JSON."""
