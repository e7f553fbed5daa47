"""Campaigns: many trials of one claim. ``make test`` runs their short forms, ``make test-full`` (``--full``) all of it.

What a full run found, with its counts and the bound that a count gives, stands in docs/reliability.md.
"""
