"""Pictures, players and pages: every function takes arrays and gives a plot, a self-contained page or both."""
