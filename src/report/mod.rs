//! Results become bytes: wire types, JSON, terminal, Markdown.
