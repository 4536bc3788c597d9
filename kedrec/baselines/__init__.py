"""Models that the papers compare with: graph neural networks, KGT5, CSProm-KG."""
