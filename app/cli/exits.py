"""Exit codes, as `rdw --help` lists them."""

DONE = 0
FAILED = 1
INVALID = 2
UNREACHABLE = 3
REFUSED = 4
INTERRUPTED = 130

IN_WORDS = """\
exit codes:
  0  done
  1  failed: a training, a check, or what was asked is not possible now
  2  the command or the request makes no sense
  3  no service answers at RDW_URL, or what it needs is away
  4  the service wants a key, or another one (RDW_API_KEY)
  130  interrupted
"""
