"""Where each plate was, packed by plate and partition: read for routes and analyses over months."""
