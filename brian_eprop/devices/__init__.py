"""How an array-level network becomes Brian2 objects, and where these run."""
