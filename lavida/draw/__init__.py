"""Pictures from descriptions, by models whose pictures are tokens."""
