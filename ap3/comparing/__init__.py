"""Any two networks, layer by layer."""
