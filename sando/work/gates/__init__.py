"""One module a kind of gate; `GATES` in `table` is where a kind is added."""
