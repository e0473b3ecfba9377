"""You, Thermodynamic natural gradient descent (NGD-T), doi:10.21203/rs.3.rs-8626621/v1 (2026)."""
