"""Who is there: people with roles and sessions, agents with tokens.

The guards that routes ask for stand in :mod:`server.auth.guards`.
"""

from server.auth.accounts import Account, Role
from server.auth.agents import AgentIdentity

__all__ = ["Account", "AgentIdentity", "Role"]
