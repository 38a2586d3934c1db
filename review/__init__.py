"""Look at traces: the report of a store, and the page on which people mark what is wrong with them."""
