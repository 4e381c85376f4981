"""The edge process: cameras in, passages out, each delivered at least once."""
