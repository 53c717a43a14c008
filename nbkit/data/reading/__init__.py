"""From what is written to what is said: numbers, money, dates, letters and foreign words, each as it is read aloud.

Every step takes pieces and gives pieces, so that what is said keeps its place in what was written.
"""
