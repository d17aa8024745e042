"""The command line ``audio-engine``: words on stderr, data on stdout, exit codes that mean."""
