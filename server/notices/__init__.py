"""Telling others of alerts: a durable queue in the database, and one thread that empties it.

A notice is queued in the transaction that raises the alert, so there is no alert whose notices were
lost; it is sent at least once, each with an identifier that stays the same, and what cannot be
delivered stays visible until somebody sends it again.
"""
