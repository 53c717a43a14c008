"""Files to arrays: sound, text, and where they come from."""
