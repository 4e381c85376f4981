"""Routes (轨迹) built from passages."""
