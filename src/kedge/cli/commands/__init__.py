"""One module a command; each has the command as `command`. Imported when the command is called."""
