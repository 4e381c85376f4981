"""Alerts (预警): raised by ingest, signed and closed by people, streamed to the wall."""
