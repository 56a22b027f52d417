"""The session as pytest sees it: plugins that collect items, match expected failures, and write the summary."""
