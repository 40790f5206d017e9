"""What each command does. Heavy imports stay inside the functions that need them."""
