"""An app that declares crons, for the tests of the sync: they install it and say what it declares."""
