"""Floor 6: the protocol over asyncio."""
