"""Networks and their configurations. Nothing here knows how it is trained."""
