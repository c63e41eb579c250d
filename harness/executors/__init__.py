"""Where the guests of a run are: on this machine (``local``), or on those of a Dask cluster."""
