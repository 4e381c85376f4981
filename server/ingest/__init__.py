"""What agents send: pictures, passages, heartbeats are taken in here."""
