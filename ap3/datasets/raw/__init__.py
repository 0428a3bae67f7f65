"""Raw files of data sets: downloaded, checked, unpacked."""
