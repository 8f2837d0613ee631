"""Face tables: reading, checking, splitting, composing, storing and loading faces."""
