"""The command line, one file a command; each has `main(words) -> exit status`."""
