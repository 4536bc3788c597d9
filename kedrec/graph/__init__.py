"""Ids and triples as arrays; pairs with hard negatives and their splits."""
