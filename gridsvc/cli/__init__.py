"""The ``gridsvc`` command: parse, call one service, print, set the exit status (0 done, 1 refused, 2 wrong usage)."""
