"""Numbers drawn from the library and about its rivals, as plain arrays and tidy tables."""
