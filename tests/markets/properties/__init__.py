"""Properties: what holds whatever exchanges send. How many examples are tried: see tests/scheduling/properties."""
