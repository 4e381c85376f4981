"""Cases (案件): what belongs to one, what came of it, and the figures of a month."""
