"""`rdw reproduce`: all steps of the paper through the HTTP API, and a report of the results."""
