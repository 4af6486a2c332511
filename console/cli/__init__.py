"""What can be typed: the commands' names, arguments and help, without the modules that do the work."""
