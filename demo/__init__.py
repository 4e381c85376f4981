"""The whole road on one machine: rendered or own footage → agents → server → alert → route."""
