"""Two releases of one small app, for the test of a rolling deploy: its label is `shop` in both."""
