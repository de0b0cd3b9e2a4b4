"""The exit codes of `rdw`, as `rdw --help` lists them."""

FAILED = 1
INVALID = 2
UNREACHABLE = 3
REFUSED = 4
INTERRUPTED = 130

DESCRIPTION = """\
Exit codes:

- 0: success
- 1: a training or check failed, the operation is not possible now, or output failed
- 2: the command, the request, the address or the key is invalid
- 3: no service answers at RDW_URL, or a service behind it is unavailable
- 4: the key is missing, invalid or has too small a scope
- 130: interrupted
"""
