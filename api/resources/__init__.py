"""One module for each noun of the HTTP API. A resource turns a request into a call and its answer into a response."""
