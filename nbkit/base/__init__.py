"""What every other room stands on: parameters, folders, places, records."""
