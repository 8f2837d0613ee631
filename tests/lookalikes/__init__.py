"""Writers that lay drawn faces out as published data sets lie on disk, quirks included."""
