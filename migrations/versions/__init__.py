"""One migration per file, one subject each; file name = revision id; ``../.current-head`` names the newest."""
