"""Numbers, threads and compiled kernels: nothing here knows what a device is."""
