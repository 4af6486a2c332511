"""What decides: pipelines, subagents, and the rules they keep. Nothing here touches the world."""
