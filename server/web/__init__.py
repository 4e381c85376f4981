"""The command centre's pages: server-rendered HTML over the same services as the API."""
