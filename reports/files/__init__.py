"""The report as files: HTML, Markdown, JSON, JUnit, pictures."""
